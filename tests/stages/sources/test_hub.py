from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.core.errors import DataError
from stages.core.prepare import prepare_all
from stages.core.records import Candidates, Judgements, SetAside
from stages.sources import DataSettings, open_source

ROWS = [
    {"query_id": "a", "query": "who", "doc_id": "d1", "text": "one", "score": 1.0, "relevance": 1},
    {"query_id": "a", "query": "who", "doc_id": "d2", "text": "two", "score": 2.0, "relevance": 0},
]
RERANKING = [{"query": "who", "positive": ["right"], "negative": ["wrong", "false"]}]


def prepared(settings: DataSettings) -> tuple[list[Candidates], list[SetAside]]:
    aside: list[SetAside] = []
    return list(prepare_all(open_source(settings).queries(aside.append), settings.depth, aside.append)), aside


def judged(settings: DataSettings) -> Judgements:
    return open_source(settings).judgements(lambda row: pytest.fail(str(row)))


def texts_by_id(candidates: Candidates) -> dict[str, str]:
    return dict(zip(candidates.doc_ids, candidates.texts, strict=True))


def mteb(path: Path, rows: Sequence[Mapping[str, object]], **more: object) -> DataSettings:
    pq.write_table(pa.Table.from_pylist(list(rows)), path / "test.parquet")
    return DataSettings.model_validate({"format": "mteb", "path": str(path / "test.parquet"), **more})


def test_a_saved_data_set_is_read_like_its_rows(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    settings = DataSettings(format="huggingface", path=str(tmp_path / "saved"))
    assert prepared(settings) == ([Candidates("a", "who", ("d2", "d1"), ("two", "one"), (2.0, 1.0))], [])
    assert judged(settings) == Judgements({"a": {"d1": 1, "d2": 0}})
    assert open_source(settings).name == "saved"


def test_a_saved_data_set_with_splits_needs_one_of_them(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    split = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"dev": split, "train": split}).save_to_disk(tmp_path / "saved")
    settings = DataSettings(format="huggingface", path=str(tmp_path / "saved"), split="dev")
    assert prepared(settings)[0][0].query_id == "a"
    with pytest.raises(DataError, match=r"data.split: .* has no split 'test'. Choose from: dev, train"):
        open_source(DataSettings(format="huggingface", path=str(tmp_path / "saved")))


def test_a_damaged_saved_data_set_is_an_error_with_the_remedy(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    (tmp_path / "dataset_info.json").write_text("{")
    (tmp_path / "state.json").write_text("{")
    with pytest.raises(DataError, match=r"data.path: cannot load .*; save it again with save_to_disk"):
        open_source(DataSettings(format="huggingface", path=str(tmp_path)))


def test_a_local_path_that_is_not_there_never_goes_to_the_hub(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.path: .*nowhere does not exist"):
        open_source(DataSettings(format="huggingface", path=str(tmp_path / "nowhere")))
    with pytest.raises(DataError, match=r"matches no file"):
        open_source(DataSettings(format="mteb", path=str(tmp_path / "nowhere")))
    with pytest.raises(DataError, match=r"matches no file"):
        open_source(DataSettings(format="mteb", path="nowhere/test.parquet"))


def test_a_name_that_cannot_be_loaded_offline_is_one_line_with_the_remedy(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    code = (
        "from stages.sources import DataSettings, open_source\n"
        "from stages.core.errors import DataError\n"
        "try: open_source(DataSettings(format='huggingface', path='nobody/nothing-at-all'))\n"
        "except DataError as error: print(error)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        check=True,
        cwd=Path(__file__).parents[3],
        timeout=300,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.stdout
    assert lines[0].startswith("data.path: cannot load nobody/nothing-at-all: ")
    assert "HF_HUB_OFFLINE is set" in lines[0]


def test_importing_sources_does_not_import_datasets() -> None:
    heavy = ("datasets", "torch", "ray", "vllm", "mlflow", "numba")
    code = f"import sys, stages.sources, stages.files.tables; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert done.stdout.strip() == "[]"


def test_mteb_rows_give_shuffled_candidates_and_judgements_of_one_and_zero(tmp_path: Path) -> None:
    settings = mteb(tmp_path, RERANKING)
    candidates, aside = prepared(settings)
    assert aside == []
    assert (candidates[0].query_id, candidates[0].scores) == ("q1", (-1.0, -2.0, -3.0))
    texts = texts_by_id(candidates[0])
    assert sorted(texts.values()) == ["false", "right", "wrong"]
    grades = judged(settings).grades["q1"]
    assert {texts[doc_id]: grade for doc_id, grade in grades.items()} == {"right": 1, "wrong": 0, "false": 0}


def test_the_order_of_mteb_candidates_tells_nothing_about_their_grade(tmp_path: Path) -> None:
    rows = [{"query": f"query {i}", "positive": ["right"], "negative": ["wrong"]} for i in range(400)]
    first = [item.texts[0] for item in prepared(mteb(tmp_path, rows))[0]]
    # 200 expected with a standard deviation of 10; a constant order gives 0 or 400
    assert 150 < first.count("right") < 250
    swapped = [{**row, "positive": row["negative"], "negative": row["positive"]} for row in rows]
    assert [item.texts[0] for item in prepared(mteb(tmp_path, swapped))[0]] == first


def test_an_mteb_row_with_several_queries_gives_one_query_each(tmp_path: Path) -> None:
    settings = mteb(tmp_path, [{"query": ["who", "which"], "positive": ["right"], "negative": ["wrong"]}])
    candidates, _ = prepared(settings)
    assert [(item.query_id, item.query) for item in candidates] == [("q1.1", "who"), ("q1.2", "which")]
    assert set(judged(settings).grades) == {"q1.1", "q1.2"}


def test_malformed_mteb_rows_and_texts_are_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    path.write_text(
        '{"query": "a", "positive": "right", "negative": []}\n'
        '{"query": "b", "positive": ["right", ""], "negative": ["right", null, "wrong"]}\n'
    )
    settings = DataSettings(format="mteb", path=str(path))
    candidates, aside = prepared(settings)
    assert [(item.query_id, sorted(item.texts)) for item in candidates] == [("q2", ["right", "wrong"])]
    assert [(row.where.line, row.reason) for row in aside] == [
        (1, "positive is not a list but str"),
        (2, "positive holds an entry without text"),
        (2, "negative holds an entry without text"),
        (2, "duplicate document id within the query"),
    ]
    texts = texts_by_id(candidates[0])
    assert {texts[doc_id]: grade for doc_id, grade in judged(settings).grades["q2"].items()} == {"right": 1, "wrong": 0}


def test_missing_mteb_columns_are_an_error_that_names_them(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rerank needs columns query, positive and negative; got query, pos"):
        open_source(mteb(tmp_path, [{"query": "a", "pos": ["b"]}]))
    renamed = mteb(
        tmp_path, [{"query": "a", "pos": ["b"], "neg": ["c"]}], columns={"positive": "pos", "negative": "neg"}
    )
    assert len(prepared(renamed)[0][0].doc_ids) == 2


@pytest.mark.parametrize("form", ["huggingface", "parquet"])
def test_an_optional_key_or_a_mixed_id_column_is_read_as_datasets_was_given_it(form: str, tmp_path: Path) -> None:
    """datasets 5.2.0 makes its Json type of what has no one type; Parquet written from it has the same."""
    datasets = pytest.importorskip("datasets")
    one = {"doc_id": "x1", "text": "one", "score": 1.0, "label": 1}
    rows = [
        {"query_id": "007", "query": "who", "documents": [one, {"doc_id": 7, "text": "two", "score": 2.5}]},
        {"query_id": 8, "query": "why", "documents": [one]},
    ]
    data = datasets.Dataset.from_list(rows, on_mixed_types="use_json")
    assert "Json" in str(data.features["query_id"])
    assert "Json" in str(data.features["documents"])
    path = tmp_path / "saved.parquet"
    data.save_to_disk(path) if form == "huggingface" else data.to_parquet(path)
    settings = DataSettings.model_validate({"format": form, "path": str(path)})
    assert prepared(settings) == (
        [
            Candidates("007", "who", ("7", "x1"), ("two", "one"), (2.5, 1.0)),
            Candidates("8", "why", ("x1",), ("one",), (1.0,)),
        ],
        [],
    )
    assert judged(settings) == Judgements({"007": {"x1": 1}, "8": {"x1": 1}})
