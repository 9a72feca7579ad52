"""Runs and judgements of ranx, mteb and others, that are no lines of TREC."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ranx.io import save_json, save_lz4

from stages.core.errors import DataError
from stages.core.records import SetAside
from stages.sources.formats.nested import open_any_run, read_any_qrels, read_any_run
from stages.sources.run_index import QueryIds

RUN = {"007": {"a": 0.1, "b": 0.9, "a b": 0.5}, "7": {"c": 1.0}}
ORDER = {"007": ["b", "a b", "a"], "7": ["c"]}
# As mteb 2.26.24 writes TASK_predictions.json: in no order.
PREDICTIONS = {"mteb_model_meta": {"model_name": "m", "revision": "r"}, "default": {"test": RUN}}


def lists(path: Path, aside: list[SetAside] | None = None) -> dict[str, list[str]]:
    found = read_any_run(path, (aside if aside is not None else []).append)
    return {query_id: one.doc_ids for query_id, one in found.items()}


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def save_parquet(run: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """As ranx 0.3.21's `Run.to_dataframe()` has it; `Run` itself takes a minute to compile."""
    rows = [(query_id, doc_id, score) for query_id, scores in run.items() for doc_id, score in scores.items()]
    pq.write_table(
        pa.table(dict(zip(("q_id", "doc_id", "score"), map(list, zip(*rows, strict=True)), strict=True))), path
    )


@pytest.mark.parametrize(("name", "save"), [("a.json", save_json), ("a.lz4", save_lz4), ("a.parquet", save_parquet)])
def test_what_ranx_saves_is_read_by_score_with_its_ids_as_they_are(
    tmp_path: Path, name: str, save: Callable[[object, Path], None]
) -> None:
    save(RUN, tmp_path / name)
    assert lists(tmp_path / name) == ORDER


def test_ranx_qrels_are_judgements(tmp_path: Path) -> None:
    save_json({"007": {"a": 1, "b": 0}, "7": {"c": 2}}, tmp_path / "qrels.json")
    assert read_any_qrels(tmp_path / "qrels.json", pytest.fail).grades == {"007": {"a": 1, "b": 0}, "7": {"c": 2}}
    table = pa.table({"q_id": ["007", "007"], "doc_id": ["a", "a"], "score": [1, 2]})
    pq.write_table(table, tmp_path / "qrels.parquet")
    aside: list[SetAside] = []
    assert read_any_qrels(tmp_path / "qrels.parquet", aside.append).grades == {"007": {"a": 1}}
    assert [row.reason for row in aside] == ["judged twice: the first judgement counts"]


def test_mteb_predictions_are_a_run_of_one_subset_and_split(tmp_path: Path) -> None:
    path = written(tmp_path / "NFCorpus_predictions.json", PREDICTIONS)
    assert lists(path) == ORDER
    several: dict[str, Any] = {**PREDICTIONS, "en": {"test": {"q": {"x": 1}}, "dev": {"q": {"y": 1}}}}
    path = written(path, several)
    with open_any_run(path, QueryIds(), pytest.fail, subset="en", split="dev") as run:
        assert run.read("q").doc_ids == ["y"]
    with pytest.raises(DataError, match=r"data.subset: .* has no None. Choose from: default, en"):
        lists(path)


def test_flagembeddings_search_results_and_a_plain_object_are_runs(tmp_path: Path) -> None:
    assert lists(written(tmp_path / "a.json", {"eval_name": "e", "search_results": RUN})) == ORDER
    assert lists(written(tmp_path / "b.json", RUN)) == ORDER


def test_umbrelas_qrels_are_trecs(tmp_path: Path) -> None:
    (tmp_path / "umbrela.txt").write_text(
        "2024-1 Q0 msmarco_v2.1_doc_1_2#1_3 3\n2024-1 Q0 msmarco_v2.1_doc_1_2#2_9 0\n"
    )
    assert read_any_qrels(tmp_path / "umbrela.txt", pytest.fail).grades == {
        "2024-1": {"msmarco_v2.1_doc_1_2#1_3": 3, "msmarco_v2.1_doc_1_2#2_9": 0}
    }


def test_trec_lines_are_read_as_before(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("q Q0 d 1 0.5 x\n")
    (tmp_path / "qrels").write_text("q 0 d 1\n")
    assert lists(tmp_path / "run") == {"q": ["d"]}
    assert read_any_qrels(tmp_path / "qrels", pytest.fail).grades == {"q": {"d": 1}}


def test_scores_that_are_none_are_set_aside(tmp_path: Path) -> None:
    aside: list[SetAside] = []
    (tmp_path / "run.json").write_text('{"q": {"a": NaN, "b": 1, "c": null}}')
    assert lists(tmp_path / "run.json", aside) == {"q": ["b"]}
    assert [(row.doc_id, row.reason) for row in aside] == [
        ("a", "score is not a finite number"),
        ("c", "score is not a finite number"),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"q": {"a": 1}}\n{"q": {"b": 1}}\n', r"is not one JSON object: Extra data"),
        ('{"q": ["a", "b"]}', r"under 'q' stands no object of document ids and numbers"),
        ('{"query": {"text": "why", "hits": [1]}}', r"under 'query' stands no object of document ids and numbers"),
        ("{}", r"has no list of documents for any query"),
    ],
)
def test_an_object_of_something_else_is_refused_with_what_a_run_has(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(DataError, match=said):
        lists(tmp_path / "run.json")


def test_of_a_table_with_scores_and_grades_each_reader_takes_its_own(tmp_path: Path) -> None:
    path = tmp_path / "both.parquet"
    pq.write_table(pa.table({"query_id": ["007"], "doc_id": ["1"], "score": [7.0], "label": [2]}), path)
    assert read_any_qrels(path, pytest.fail).grades == {"007": {"1": 2}}
    assert list(read_any_run(path, pytest.fail)["007"].scores) == [7.0]
    pq.write_table(pa.table({"query_id": ["007"], "doc_id": ["1"], "label": [2]}), path)
    with pytest.raises(DataError, match="has no column score"):
        read_any_run(path, pytest.fail)


def test_a_broken_lz4_and_a_table_of_other_columns_are_one_line(tmp_path: Path) -> None:
    save_lz4(RUN, tmp_path / "run.lz4")
    (tmp_path / "run.lz4").write_bytes((tmp_path / "run.lz4").read_bytes()[:-9])
    with pytest.raises(DataError, match=r"cannot read .*run.lz4 as a .lz4 of ranx"):
        lists(tmp_path / "run.lz4")
    pq.write_table(pa.table({"q_id": ["q"], "doc": ["d"]}), tmp_path / "run.parquet")
    with pytest.raises(DataError, match=r"has no column doc_id or docid .*; it has q_id, doc"):
        lists(tmp_path / "run.parquet")
