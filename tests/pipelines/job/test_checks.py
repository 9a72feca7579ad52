"""What a run raises before it scores, a dry run raises in the same words, and neither leaves anything."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.config import RunConfig
from pipelines.job.checks import check_before_scoring
from pipelines.job.dry_run import make_plan
from stages.core.errors import DataError
from stages.store.store import ScoreStore

GOOD = {"query_id": "q1", "query": "one", "documents": [{"id": "a", "text": "text"}]}


def write_rows(path: Path, *rows: dict[str, Any]) -> dict[str, Any]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"format": "jsonl", "path": str(path)}


@pytest.fixture
def sections(tmp_path: Path) -> dict[str, Any]:
    return {
        "data": write_rows(tmp_path / "rows.jsonl", GOOD),
        "model": {"name": "overlap"},
        "rerank": {"store": None},
        "tracking": {"uri": None},
        "output": {"dir": str(tmp_path / "results")},
    }


def refused(sections: dict[str, Any], **changed: Any) -> str:
    """What a dry run raises. The places stay as they were."""
    with pytest.raises(DataError) as error:
        make_plan(RunConfig.model_validate(sections | changed))
    return str(error.value)


def test_what_can_be_used_is_described_and_opened_and_nothing_is_left(sections: dict[str, Any], tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    checked = check_before_scoring(RunConfig.model_validate(sections | {"rerank": {"store": str(tmp_path / "store")}}))
    assert ([one.name for one in checked.models], checked.source.name) == (["overlap"], "rows")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_cannot_be_made_is_refused_as_the_run_folder_is(sections: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "results"
    assert refused(sections, output={"dir": str(place)}) == (
        f"output.dir {place}: cannot make a run folder (Not a directory). Choose another."
    )
    told = refused(sections, rerank={"store": str(tmp_path / "file")})
    assert told.startswith(f"rerank.store {tmp_path}/file: cannot be opened (Not a directory)")


def test_a_store_of_another_layout_is_refused_and_a_damaged_one_only_where_it_cannot_be_set_aside(
    sections: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "store"
    assert "holds no scores" in refused(sections, rerank={"store": str(folder), "store_mode": "read_only"})
    ScoreStore(folder).close()
    make_plan(RunConfig.model_validate(sections | {"rerank": {"store": str(folder)}}))
    with sqlite3.connect(folder / "scores.sqlite") as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    assert "has layout 99" in refused(sections, rerank={"store": str(folder)})
    (folder / "scores.sqlite").write_bytes(b"no database, though it is long enough" * 40)
    make_plan(RunConfig.model_validate(sections | {"rerank": {"store": str(folder)}}))
    assert "cannot be opened" in refused(sections, rerank={"store": str(folder), "store_mode": "read_only"})


def test_a_run_to_pin_that_is_not_there_is_refused(sections: dict[str, Any]) -> None:
    gate = {"pin": "no-such-run", "max_drift": {"ndcg_at_10": 0.1}}
    assert "no-such-run" in refused(sections, gate=gate)


def test_judgements_that_a_metric_cannot_take_are_refused_before_anything_is_scored(
    sections: dict[str, Any], tmp_path: Path
) -> None:
    judged = GOOD | {"documents": [{"id": "a", "text": "text", "relevance": 2000}]}
    data = write_rows(tmp_path / "rows.jsonl", judged)
    assert "dcg_burges and ndcg_burges" in refused(sections, data=data, evaluate={"metrics": ["ndcg_burges@10"]})


def test_data_of_which_nothing_is_left_is_refused_with_what_was_set_aside_before(
    sections: dict[str, Any], tmp_path: Path
) -> None:
    rows = [{"query_id": f"q{place}", "query": " ", "documents": ["text"]} for place in range(3)]
    path = tmp_path / "rows.jsonl"
    assert refused(sections, data=write_rows(path, *rows)) == (
        f"set aside: 3 x empty query, first at {path}:1. Then nothing left to rerank: no candidate has a text and a "
        "query that can be asked"
    )
    without_texts = {"query_id": "q", "query": "why", "documents": [{"id": "a", "text": None}]}
    told = refused(sections, data=write_rows(path, without_texts))
    assert told.startswith(f"set aside: {path}:1: no text. Then nothing left to rerank")


def test_a_corpus_that_lacks_what_a_run_names_is_refused_behind_the_line_that_could_not_be_read(
    sections: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("q1\td1\t1\n")
    (tmp_path / "queries.jsonl").write_text('{"_id": "q1", "text": "why"}\n')
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d1", "text\n{"_id": "other", "text": "b"}\n')
    (tmp_path / "run.trec").write_text("q1 Q0 d1 1 1.0 x\n")
    told = refused(sections, data={"format": "beir", "path": str(tmp_path), "run": str(tmp_path / "run.trec")})
    assert told.startswith(f"set aside: {tmp_path}/corpus.jsonl:1: not JSON")
    assert f". Then {tmp_path}/corpus.jsonl has no document that" in told
