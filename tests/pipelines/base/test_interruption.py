"""Ctrl-C once finishes what is in flight, and the same command goes on from there; what it says is what happened."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.config import load_config
from pipelines.base.interruption import Interruption
from pipelines.job.console import JobConsole
from pipelines.job.run import run
from pipelines.runs.folder import RunFolder
from stages.core.errors import InterruptedRunError
from stages.files.rankings import read_rankings

pytestmark = pytest.mark.heavy

QUERIES, DOCUMENTS = 60, 25


def interrupt_when_some_are_ranked(results: Path, number: signal.Signals) -> None:
    """Send the signal when the first rankings are written: the job is at work."""
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        if any(file.stat().st_size > 500 for file in results.glob("*/rankings/part-*")):
            break
        time.sleep(0.1)
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.thorough)])
def test_what_was_in_flight_is_kept_and_the_same_job_scores_only_the_rest(
    number: signal.Signals,
    served: dict[str, Any],
    write_config: Callable[[dict[str, Any]], Path],
    write_rows: Callable[[list[dict[str, Any]]], dict[str, Any]],
    tmp_path: Path,
) -> None:
    rows = [
        {
            "query_id": f"q{query}",
            "query": f"{number.name} {query}",
            "documents": [f"{d} about the sea " * 20 for d in range(DOCUMENTS)],
        }
        for query in range(QUERIES)
    ]
    rerank = {"store": str(tmp_path / "store"), "batch_queries": 2}
    config = load_config(write_config(served | {"data": write_rows(rows), "rerank": rerank}))
    threading.Thread(target=interrupt_when_some_are_ranked, args=(tmp_path / "results", number)).start()
    with pytest.raises(InterruptedRunError, match="the same command goes on from there") as stopped:
        run(config, JobConsole(quiet=True))
    assert stopped.value.exit_code == 130
    (folder,) = [RunFolder(path) for path in (tmp_path / "results").iterdir()]
    ranked = [one.query_id for one in read_rankings(folder.rankings)]
    assert 0 < len(ranked) < QUERIES and len(set(ranked)) == len(ranked)
    assert f"{len(ranked)} of {QUERIES} queries" in str(stopped.value)
    assert len(folder.trec_run.read_text().splitlines()) == len(ranked) * DOCUMENTS
    assert not folder.metrics.exists(), "a mean over some of the queries"

    rest = json.loads(run(config, JobConsole(quiet=True)).metrics.read_text())
    assert rest["coverage"]["answered"] == QUERIES
    assert rest["throughput"]["scored_pairs"] == (QUERIES - len(ranked)) * DOCUMENTS
    assert rest["cache"]["score_store_hits"] == len(ranked) * DOCUMENTS


def test_a_second_signal_and_one_when_nothing_is_in_flight_stop_at_once(local_ray: None) -> None:
    said: list[str] = []
    before = signal.getsignal(signal.SIGTERM)
    with Interruption(said.append) as interruption:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with interruption.finishing_work():
            signal.raise_signal(signal.SIGTERM)
            deadline = time.monotonic() + 120
            while not (said and interruption.flag.is_set()):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
    assert not interruption.flag.is_set(), "the next job would stop at once"
    assert signal.getsignal(signal.SIGTERM) is before
