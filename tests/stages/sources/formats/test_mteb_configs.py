"""MTEB's second layout, however it lies on disk. Configs and columns as mteb 2.26.24 reads them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import datasets
import pytest
from datasets.packaged_modules.parquet.parquet import Parquet

from stages.core.errors import DataError
from tests.prepared import taken

Rows = Sequence[Mapping[str, object]]
Tables = Mapping[str, Mapping[str, Rows]]
"""Config -> split -> rows."""

CORPUS = [{"_id": f"d{n}", "title": "T" if n == 1 else "", "text": f"text {n}"} for n in (1, 2, 3)]
QUERIES = [{"_id": "q1", "text": "who"}, {"_id": "q2", "text": "why"}]
QRELS = [{"query-id": "q1", "corpus-id": "d2", "score": 1}, {"query-id": "q2", "corpus-id": "d1", "score": 2}]
TOP = [{"query-id": "q1", "corpus-ids": ["d3", "d2"]}, {"query-id": "q2", "corpus-ids": ["d1", "d3", "d2"]}]
TASK: Tables = {
    "corpus": {"corpus": CORPUS},
    "queries": {"queries": QUERIES},
    "default": {"test": QRELS, "dev": [{"query-id": "q1", "corpus-id": "d1", "score": 1}]},
    "top_ranked": {"test": TOP},
}
NANO_QRELS = [{"query-id": "q1", "corpus-id": ["d2", "d3"]}]
LISTS = {"q1": ["d3", "d2"], "q2": ["d1", "d3", "d2"]}


def as_repository(folder: Path, tables: Tables) -> Path:
    """As `push_to_hub(config_name=...)` leaves a repository, and `hf download --local-dir` a copy of it."""
    configs = []
    for config, splits in tables.items():
        files = []
        for split, rows in splits.items():
            name = f"{'data' if config == 'default' else config}/{split}-00000-of-00001.parquet"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            datasets.Dataset.from_list(list(rows)).to_parquet(folder / name)
            files.append({"split": split, "path": name})
        configs.append({"config_name": config, "data_files": files})
    (folder / "README.md").write_text(f"---\nconfigs: {json.dumps(configs)}\n---\n# A task\n")
    return folder


def as_folders(folder: Path, tables: Tables) -> Path:
    (as_repository(folder, tables) / "README.md").unlink()
    return folder


def as_json_lines(folder: Path, tables: Tables) -> Path:
    for config, splits in tables.items():
        for split, rows in splits.items():
            file = folder / (f"{config}.jsonl" if len(splits) == 1 else f"{config}/{split}.jsonl")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def as_saved(folder: Path, tables: Tables) -> Path:
    for config, splits in tables.items():
        made = {split: datasets.Dataset.from_list(list(rows)) for split, rows in splits.items()}
        datasets.DatasetDict(made).save_to_disk(folder / config)
    return folder


@pytest.mark.parametrize("write", [as_repository, as_folders, as_json_lines, as_saved])
def test_a_task_is_read_wherever_it_lies_its_lists_in_their_order(
    tmp_path: Path, write: Callable[[Path, Tables], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    found = taken(format="mteb", path=str(write(tmp_path / "task", TASK)))
    assert found.lists() == LISTS
    assert found.candidates["q1"].scores == (-1.0, -2.0)
    assert found.texts() == {"d1": "T text 1", "d2": "text 2", "d3": "text 3"}
    assert (found.grades, found.set_aside) == ({"q1": {"d2": 1}, "q2": {"d1": 2}}, [])


def test_the_split_is_the_one_asked_for_else_the_only_one(tmp_path: Path) -> None:
    folder = str(as_json_lines(tmp_path, TASK))
    assert taken(format="mteb", path=folder, split="dev").grades == {"q1": {"d1": 1}}
    with pytest.raises(DataError, match=r"data.split: .* has no split 'train'. Choose from: dev, test"):
        taken(format="mteb", path=folder, split="train")


def test_configs_of_a_subset_and_qrels_that_are_called_so(tmp_path: Path) -> None:
    tables = {f"en-{'qrels' if name == 'default' else name}": table for name, table in TASK.items()}
    assert taken(format="mteb", path=str(as_folders(tmp_path, tables)), subset="en").lists() == LISTS
    with pytest.raises(DataError, match="matches no file"):
        taken(format="mteb", path=str(tmp_path), subset="de")


def test_a_run_of_ones_own_stands_for_the_lists(tmp_path: Path) -> None:
    tables = {name: table for name, table in TASK.items() if name != "top_ranked"}
    folder = str(as_json_lines(tmp_path / "task", tables))
    with pytest.raises(DataError, match=r"has no first stage \(config top_ranked or bm25\); give one as data.run"):
        taken(format="mteb", path=folder)
    run = tmp_path / "T_predictions.json"
    run.write_text(json.dumps({"mteb_model_meta": {}, "default": {"test": {"q1": {"d1": 0.1, "d2": 0.9}}}}))
    found = taken(format="mteb", path=folder, run=run)
    assert found.lists() == {"q1": ["d2", "d1"]}
    assert found.remarks == ["1 of 2 judged queries has no candidates and counts as 0, such as 'q2'"]


def test_nanobeir_has_bm25_lists_splits_by_name_and_qrels_without_scores(tmp_path: Path) -> None:
    names = ("NanoSciFact", "NanoNQ")
    tables: Tables = {
        "corpus": dict.fromkeys(names, CORPUS),
        "queries": dict.fromkeys(names, QUERIES),
        "qrels": dict.fromkeys(names, NANO_QRELS),
        "bm25": dict.fromkeys(names, TOP),
    }
    found = taken(format="mteb", path=str(as_folders(tmp_path, tables)), split="NanoSciFact")
    assert (found.lists(), found.grades) == (LISTS, {"q1": {"d2": 1, "d3": 1}})


def test_coir_has_queries_and_corpus_as_splits_and_underscores(tmp_path: Path) -> None:
    qrels = [{"query_id": "q1", "corpus_id": "d2", "score": 1}]
    as_saved(tmp_path, {"cosqa-queries-corpus": {"queries": QUERIES, "corpus": CORPUS}, "cosqa-qrels": {"test": qrels}})
    (tmp_path / "run").write_text("q1 Q0 d1 1 2 x\nq1 Q0 d2 2 1 x\n")
    found = taken(format="mteb", path=str(tmp_path / "cosqa"), run=tmp_path / "run")
    assert (found.lists(), found.grades) == ({"q1": ["d1", "d2"]}, {"q1": {"d2": 1}})


def test_an_instruction_is_the_querys_own(tmp_path: Path) -> None:
    tables = {**TASK, "instruction": {"test": [{"query-id": "q1", "instruction": "Find it."}]}}
    found = taken(format="mteb", path=str(as_json_lines(tmp_path, tables)))
    assert [one.instruction for one in found.candidates.values()] == ["Find it.", None]


@pytest.mark.parametrize(
    ("turns", "query"),
    [
        (["who", "and why"], "who; and why"),
        ([{"role": "user", "content": "who"}, {"role": "assistant", "content": "me"}], "user: who; assistant: me"),
    ],
)
def test_turns_of_a_conversation_are_joined_as_mteb_joins_them(tmp_path: Path, turns: object, query: str) -> None:
    tables = {**TASK, "queries": {"queries": [{"id": "q1", "text": turns}]}}
    assert taken(format="mteb", path=str(as_json_lines(tmp_path, tables))).candidates["q1"].query == query


def test_turns_of_another_kind_are_set_aside(tmp_path: Path) -> None:
    tables = {**TASK, "queries": {"queries": [{"id": "q1", "text": [["who"]]}, QUERIES[1]]}}
    found = taken(format="mteb", path=str(as_json_lines(tmp_path, tables)))
    assert found.lists() == {"q1": [], "q2": LISTS["q2"]}
    assert found.reasons() == [(1, "query is not a string but list")]


def lists_of_labels(count: int, prefixes: Sequence[str] = ("", "")) -> Tables:
    """As many queries, each with the relevant document before the other."""
    right, wrong = ([f"{prefix}{kind}{n}" for n in range(count)] for prefix, kind in zip(prefixes, "rw", strict=True))
    return {
        "corpus": {"test": [{"id": doc_id, "text": "text"} for doc_id in (*right, *wrong)]},
        "queries": {"test": [{"id": f"q{n}", "text": "why"} for n in range(count)]},
        "qrels": {"test": [{"query-id": f"q{n}", "corpus-id": right[n], "score": 1} for n in range(count)]},
        "top_ranked": {
            "test": [{"query-id": f"q{n}", "corpus-ids": [right[n], wrong[n]]} for n in range(count)],
        },
    }


@pytest.mark.parametrize("tables", [lists_of_labels(40), lists_of_labels(1, ("apositive_", "negative_"))])
def test_an_order_that_gives_the_labels_away_is_shuffled_and_told(tmp_path: Path, tables: Tables) -> None:
    found = taken(format="mteb", path=str(as_json_lines(tmp_path, tables)))
    assert len(found.remarks) == 1
    assert found.remarks[0].startswith("the first stage has no order (in every list the relevant documents stand bef")
    if len(found.candidates) == 40:  # 20 expected, with a standard deviation of 3.2
        assert 8 <= sum(doc_ids[0].startswith("r") for doc_ids in found.lists().values()) <= 32


def test_a_first_stage_that_is_right_for_a_few_queries_stays_as_it_is(tmp_path: Path) -> None:
    found = taken(format="mteb", path=str(as_json_lines(tmp_path, lists_of_labels(9))))
    assert (found.remarks, found.lists()["q3"]) == ([], ["r3", "w3"])


def test_rows_of_positives_and_negatives_are_read_as_before_and_take_no_run(tmp_path: Path) -> None:
    (tmp_path / "test.jsonl").write_text('{"query": "who", "positive": ["me"], "negative": ["you"]}\n')
    assert len(taken(format="mteb", path=str(tmp_path / "test.jsonl")).lists()["q1"]) == 2
    (tmp_path / "run").write_text("q1 Q0 d 1 1 x\n")
    with pytest.raises(DataError, match=r"data.run: .* has rows with documents of their own; remove it"):
        taken(format="mteb", path=str(tmp_path / "test.jsonl"), run=tmp_path / "run")


def test_a_task_that_was_loaded_once_is_found_offline_by_its_name(tmp_path: Path) -> None:
    """The cache is made by the builder that `datasets` 5.2.0 has for Parquet of the Hub."""
    for config, splits in TASK.items():
        files = {}
        for split, rows in splits.items():
            files[split] = [str(tmp_path / f"{config}-{split}.parquet")]
            datasets.Dataset.from_list(list(rows)).to_parquet(files[split][0])
        made = {"config_name": config, "config_id": config, "dataset_name": "task", "data_files": files}
        Parquet(cache_dir=str(tmp_path / "cache"), hash="0" * 40, **made).download_and_prepare()
    (tmp_path / "cache" / "task").rename(tmp_path / "cache" / "org___task")  # where it puts what is of the Hub
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    code = "from tests.prepared import taken; print(taken(format='mteb', path='org/task').lists())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[4],
        timeout=300,
    )
    assert done.stdout.strip().splitlines()[-1:] == [str(LISTS)], done.stderr
