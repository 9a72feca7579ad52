"""A run obeys its config's gate: what it exits with, what it leaves, and what the next night is held against."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from mlflow.tracking import MlflowClient

from pipelines.base.config import load_config
from pipelines.job.console import JobConsole
from pipelines.job.dry_run import make_plan
from pipelines.job.run import run
from pipelines.runs.folder import RunFolder
from pipelines.tracking.sync import sync_run
from stages.core.errors import CannotTellError, DataError, RegressedError, TrackingError
from tests.mlflow_database import new_database

WriteConfig = Callable[[dict[str, Any]], Path]
WriteRows = Callable[[list[dict[str, Any]]], dict[str, Any]]
DEAD = "http://127.0.0.1:9"


@pytest.fixture
def night(local_ray: None, write_config: WriteConfig, write_rows: WriteRows) -> Callable[..., RunFolder]:
    """A night over 24 queries, whose one relevant document is found first, or with `lost` in so many of them second.

    The stand-in scores, so what a lost one's document says is what differs.
    """

    def one(lost: int = 0, uri: str | None = None, **gate: Any) -> RunFolder:
        rows = [
            {
                "query_id": f"q{number}",
                "query": "a red fox",
                "language": "zh" if number % 2 else "en",
                "documents": [
                    {"id": "a", "text": "a blue hare" if number < lost else "a red fox", "relevance": 1},
                    {"id": "b", "text": "a red hare", "relevance": 0},
                ],
            }
            for number in range(24)
        ]
        sections: dict[str, Any] = {"data": write_rows(rows), "model": {"name": "overlap"}}
        sections["evaluate"] = {"metrics": ["ndcg@10"], "position_queries": 0}
        sections |= {"gate": {"allow": ["candidates"]} | gate} if gate else {}
        config = load_config(write_config(sections), [f"tracking.uri={json.dumps(uri)}"])
        return run(config, JobConsole(quiet=False))

    return one


def verdict(folder: RunFolder) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(folder.gate.read_text(encoding="utf-8"))
    return content


def latest(tmp_path: Path) -> RunFolder:
    return RunFolder((tmp_path / "results" / "latest").resolve())


def test_a_night_that_fell_exits_with_6_and_the_next_is_held_against_the_last_that_passed(
    night: Callable[..., RunFolder], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    uri, drop = f"sqlite:///{tmp_path}/mlflow.db", {"ndcg@10": 0.01}
    first = night(uri=uri, max_drop=drop)
    assert (verdict(first)["outcome"], verdict(first)["against"]) == ("passed", None)
    assert "limits alone decide" in " ".join(verdict(first)["notes"])
    capfd.readouterr()
    with pytest.raises(
        RegressedError, match=r"^regressed: ndcg@10 fell by 0\.3.*The results are complete in"
    ) as raised:
        night(lost=20, uri=uri, max_drop=drop)
    assert raised.value.exit_code == 6
    second = latest(tmp_path)
    shown = capfd.readouterr().out.splitlines()
    assert f"gate        {verdict(second)['sentence']}" in shown
    assert shown[-1] == f"run folder  {second.path}"
    third = night(uri=uri, max_drop=drop)
    assert [verdict(one)["against"] for one in (second, third)] == [first.run_id] * 2
    logged = MlflowClient(uri).search_runs([MlflowClient(uri).get_experiment_by_name("test").experiment_id])
    assert {one.info.run_name: one.data.tags["gate"] for one in logged} == {
        first.run_id: "passed",
        second.run_id: "regressed",
        third.run_id: "passed",
    }
    assert verdict(third)["sentence"].endswith(f"against {first.run_id}")


def test_where_several_hold_the_gravest_is_raised_and_the_others_are_told(
    night: Callable[..., RunFolder], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """6 comes before 4, and 4 before 5; whatever it is, the results are there."""
    with pytest.raises(RegressedError):
        night(uri=DEAD, min={"ndcg@10": 2})
    assert "note        MLflow at http://127.0.0.1:9 failed" in capfd.readouterr().out
    with pytest.raises(TrackingError):
        night(uri=DEAD, max_drop={"ndcg@10": 0.01})
    assert "note        cannot tell: whether an earlier run passed is not known" in capfd.readouterr().out
    folder = latest(tmp_path)
    assert verdict(folder)["outcome"] == "cannot tell"
    uri = new_database(tmp_path / "later.db")
    sync_run(folder.path, uri)
    (logged,) = MlflowClient(uri).search_runs([MlflowClient(uri).get_experiment_by_name("test").experiment_id])
    assert logged.data.tags["gate"] == "cannot tell"


def test_too_few_queries_exit_with_5(night: Callable[..., RunFolder], tmp_path: Path) -> None:
    rules = {"max_drop": {"ndcg@10": 0.01}, "min_queries": 100}
    first = night(**rules)
    with pytest.raises(CannotTellError, match="24 queries: too few") as raised:
        night(lost=1, **rules)
    assert raised.value.exit_code == 5
    assert verdict(latest(tmp_path))["against"] == first.run_id


def test_slices_are_kept_with_the_run_and_judged(night: Callable[..., RunFolder], tmp_path: Path) -> None:
    rules = {"max_drop": {"ndcg@10": 0.5}, "min_queries": 5, "slices": {"language": ["en", "zh"]}}
    first = night(**rules, slice_max_drop={"ndcg@10": 0.01})
    assert pq.read_table(first.per_query).column("field/language").to_pylist()[:2] == ["en", "zh"]
    with pytest.raises(RegressedError, match=r"ndcg@10 of language=en fell .*; ndcg@10 of language=zh fell"):
        night(lost=24, **rules, slice_max_drop={"ndcg@10": 0.01})


@pytest.mark.parametrize(
    ("gate", "told"),
    [
        ({"max_drop": {"ndcg@10": 1}, "slices": {"language": "no"}}, "no query has the value 'no'; it is en, zh"),
        ({"max_drop": {"ndcg@10": 1}, "pin": "nobody"}, "nobody: no such run folder"),
    ],
    ids=["slice", "pin"],
)
def test_a_rule_about_what_is_not_there_is_refused_before_anything_is_scored(
    gate: dict[str, Any], told: str, night: Callable[..., RunFolder], tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=told):
        night(**gate)
    assert not list((tmp_path / "results").glob("*/rankings"))
    with pytest.raises(DataError, match=told):
        make_plan(load_config(tmp_path / "config.yaml", ["tracking.uri=null"]))


def test_a_baseline_that_cannot_be_compared_is_exit_code_2_and_the_results_are_logged(
    night: Callable[..., RunFolder], tmp_path: Path
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    night(uri=uri, max_drop={"ndcg@10": 0.01})
    with pytest.raises(DataError, match=r"reranked different candidates.*gate\.allow: \[candidates\]"):
        night(lost=1, uri=uri, max_drop={"ndcg@10": 0.01}, allow=[])
    assert len(MlflowClient(uri).search_runs([MlflowClient(uri).get_experiment_by_name("test").experiment_id])) == 2
