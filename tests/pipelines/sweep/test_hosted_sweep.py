"""A sweep over a hosted model: finished points stand on resume for as long as what decides their scores does."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines.job.console import JobConsole
from pipelines.sweep.sweep import Sweep, SweepOrder, run_sweep
from tests.hosted_api import StubApi, stub_api

INFO: dict[str, Any] = {"model_id": "a", "model_sha": "1"}


@pytest.fixture
def stub() -> Iterator[StubApi]:
    with stub_api("tei", info={"/info": dict(INFO)}) as one:
        yield one


@pytest.fixture
def config(write_config: Callable[..., Path], write_rows: Callable[..., dict[str, Any]], stub: StubApi) -> Path:
    rows = [
        {
            "query_id": f"q{n}",
            "query": f"red fox {n}",
            "documents": [{"id": f"d{d}", "text": f"fox {n} {d}", "relevance": int(d == 4)} for d in range(5)],
        }
        for n in range(4)
    ]
    model = {"name": stub.url, "api": "tei"}
    hosted = {"recheck_pairs": 0, "retry_for_s": 0.1}
    return write_config({"model": model, "hosted": hosted, "data": write_rows(rows), "tracking": {"uri": None}})


def swept(config: Path) -> tuple[Sweep, str]:
    said = io.StringIO()
    return run_sweep(SweepOrder(config, ("data.depth=[2, 5]",), (), "mine"), JobConsole(file=said)), said.getvalue()


def test_points_that_are_done_are_not_run_again(config: Path, stub: StubApi) -> None:
    first, _ = swept(config)
    paid = len(stub.asked)
    again, said = swept(config)
    assert "2 points, 2 have results" in said and "anew" not in said
    assert [one.run_folder for one in again.state.points] == [one.run_folder for one in first.state.points]
    assert len(stub.asked) == paid == 4  # the deepest point asked for all


def test_points_of_another_model_behind_the_same_address_are_run_again(config: Path, stub: StubApi) -> None:
    swept(config)
    stub.info["/info"]["model_sha"] = "2"
    _, said = swept(config)
    assert "anew        2 points, as what decides its scores changed" in said and len(stub.asked) == 8


def test_points_that_are_older_than_scores_may_be_are_run_again(config: Path) -> None:
    sweep, _ = swept(config)
    for file in sweep.folder.points.glob("*/metrics.json"):
        metrics = json.loads(file.read_text(encoding="utf-8"))
        metrics["started"] = (datetime.fromisoformat(metrics["started"]) - timedelta(days=31)).isoformat()
        file.write_text(json.dumps(metrics), encoding="utf-8")
    _, said = swept(config)
    assert "anew        2 points, as it is older than rerank.store_days lets" in said


def test_a_server_that_does_not_answer_leaves_finished_points_to_be_run_again(config: Path, stub: StubApi) -> None:
    swept(config)
    stub.told_status = 503
    sweep, said = swept(config)
    assert "anew        2 points, as its data or model cannot be read" in said
    assert sweep.exit_code == 0  # the store has their scores
