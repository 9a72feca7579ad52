"""Runs are compared where their difference means something, and what differs between them is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.runs.read import read_run_folder
from pipelines.verdict.runs import Allowed, compare_runs
from stages.core.errors import DataError
from tests.pipelines.finished_runs import finished_run

DEPTH_20 = {"data": {"format": "jsonl", "path": "rows.jsonl", "depth": 20}}
DEPTH_50 = {"data": {"format": "jsonl", "path": "rows.jsonl", "depth": 50}}


def test_each_run_is_compared_with_the_first_in_every_shared_metric(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / name, values) for name, values in {"a": [0.5, 0.5], "b": [0.7, 0.6]}.items()]
    found = compare_runs(runs)
    (tested,) = found.tested
    assert (found.baseline, tested.system, tested.metric) == ("a", "b", "ndcg@10")
    assert tested.difference.difference == pytest.approx(0.15)
    assert (found.queries, found.notes) == (2, [])


def test_runs_that_differ_in_one_key_are_called_by_its_value(tmp_path: Path) -> None:
    runs = [
        finished_run(tmp_path / name, [0.5, 0.5], config=config, candidates_digest=name)
        for name, config in {"a": DEPTH_20, "b": DEPTH_50}.items()
    ]
    found = compare_runs(runs)
    assert list(found.runs) == ["depth 20", "depth 50"]
    assert found.differing == {"data.depth": (20, 50)}


def test_where_and_how_a_run_was_logged_is_no_difference_and_secrets_are_not_shown(tmp_path: Path) -> None:
    logged = DEPTH_20 | {"tracking": {"experiment": "other"}, "output": {"dir": "elsewhere"}}
    secret = DEPTH_20 | {"engine": {"extra": {"hf_token": "hf_verysecret"}}}
    runs = [
        finished_run(tmp_path / name, [0.5, 0.5], config=config)
        for name, config in {"a": DEPTH_20, "b": logged, "c": secret}.items()
    ]
    found = compare_runs(runs)
    assert "hf_verysecret" not in str(found.differing)
    assert {name.split(".")[0] for name in found.differing} == {"engine"}


@pytest.mark.parametrize(
    ("changed", "allowed", "told"),
    [
        ({"judgements_digest": "other"}, Allowed(judgements=True), "--different-judgements"),
        ({"candidates_digest": "other"}, Allowed(candidates=True), "--different-candidates"),
    ],
)
def test_other_judgements_or_candidates_are_refused_until_they_are_allowed(
    changed: dict[str, Any], allowed: Allowed, told: str, tmp_path: Path
) -> None:
    runs = [finished_run(tmp_path / "a", [0.5, 0.5]), finished_run(tmp_path / "b", [0.6, 0.5], **changed)]
    with pytest.raises(DataError, match=told):
        compare_runs(runs)
    assert len(compare_runs(runs, allowed=allowed).notes) == 1


def test_another_depth_of_the_same_lists_is_no_other_candidates(tmp_path: Path) -> None:
    shallow = finished_run(tmp_path / "a", [0.5, 0.5], config=DEPTH_20, candidates_digest="at 20")
    deep = finished_run(tmp_path / "b", [0.5, 0.6], config=DEPTH_50, candidates_digest="at 50")
    other = finished_run(tmp_path / "c", [0.5, 0.6], config=DEPTH_50, candidates_digest="at 50", lists_digest="other")
    assert compare_runs([shallow, deep]).notes == []
    with pytest.raises(DataError, match="different candidates"):
        compare_runs([shallow, other])


def test_runs_with_other_queries_are_compared_on_those_they_share(tmp_path: Path) -> None:
    one = finished_run(tmp_path / "a", [0.1, 0.5, 0.9], query_ids=["x", "y", "z"])
    two = finished_run(tmp_path / "b", [0.9, 0.6, 0.3], query_ids=["z", "y", "w"], judgements_digest="other")
    found = compare_runs([one, two], allowed=Allowed(judgements=True))
    assert found.queries == 2
    assert found.tested[0].difference.difference == pytest.approx((0.6 - 0.5 + 0.9 - 0.9) / 2)
    assert found.notes[1:] == [
        "of the 3 judged queries of a the 2 are compared that every run has",
        "of the 3 judged queries of b the 2 are compared that every run has",
    ]


@pytest.mark.parametrize(
    ("ids", "told"), [(["1", "2"], "one has 'q1', another '1'"), (["x", "y"], "one has 'q1', another 'x'")]
)
def test_runs_without_a_query_in_common_are_refused_with_an_id_of_each(
    ids: list[str], told: str, tmp_path: Path
) -> None:
    one = finished_run(tmp_path / "a", [0.1, 0.5], query_ids=["q1", "q2"])
    two = finished_run(tmp_path / "b", [0.9, 0.6], query_ids=ids)
    with pytest.raises(DataError, match=f"no judged query in common: {told}"):
        compare_runs([one, two])


def test_what_a_run_said_of_its_data_is_said_once_and_with_its_name_where_others_did_not(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / name, [0.5, 0.5]) for name in "ab"]
    for run, remarks in zip(runs, (["both"], ["both", "one"]), strict=True):
        run.folder.write_json(run.folder.analysis, {"schema_version": 2, "remarks": remarks})
    assert compare_runs([read_run_folder(tmp_path / name) for name in "ab"]).notes == ["both", "b: one"]


def test_a_key_that_an_earlier_version_lacked_counts_as_its_default(tmp_path: Path) -> None:
    runs = [finished_run(tmp_path / name, [0.5, 0.5], config=DEPTH_20) for name in "ab"]
    text = runs[0].folder.config.read_text()
    assert "  batch_queries: 8\n" in text
    runs[0].folder.config.write_text(text.replace("  batch_queries: 8\n", "").replace("  workers: null\n", ""))
    runs[1].folder.config.write_text(text.replace("workers: null", "workers: 3"))
    found = compare_runs([read_run_folder(tmp_path / name) for name in "ab"])
    assert found.differing == {"rerank.workers": (None, 3)}


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "a", [0.5, 0.5])
    with pytest.raises(DataError, match="at least one other"):
        compare_runs([run])
    with pytest.raises(DataError, match="given twice: a"):
        compare_runs([run, run])
    other = finished_run(tmp_path / "b", [0.5, 0.5])
    with pytest.raises(DataError, match="mrr was not computed in every run; they share ndcg@10"):
        compare_runs([run, other], metrics=["mrr"])
