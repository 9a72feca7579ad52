"""The stream counts what it did, and what it leans on in Ray Data is there in the version that pyproject.toml names."""

from __future__ import annotations

import asyncio
import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import ray.data
from ray.data._internal.execution import streaming_executor_state

from pipelines.job.ranges import LocalReader, Range, blocks_of, ranges_of
from pipelines.job.stream import LOOK_AT_CALLS_S, Progress, RerankBatches, _set_up_ray_data, calls_at_once
from stages.core.records import Candidates, Ranking
from stages.core.scoring import OverlapScorer
from stages.files.rankings import rankings_from, rankings_table
from stages.files.tables import write_candidates


def test_progress_counts_what_was_scored_in_this_run_and_what_failed() -> None:
    progress = Progress()
    scored = Ranking("q1", ("a", "b", "c"), (3.0, 2.0, 1.0), (None,) * 3, tail=("t",), store_hits=2)
    failed = Ranking("q2", ("a",), (1.0,), (None,), failed={"b": "aborted", "c": "aborted"})
    for some in ([scored, failed], [], [scored]):
        progress.add(rankings_table(some))
    assert progress == Progress(queries=3, pairs=3, failed_pairs=2)


@pytest.mark.parametrize(("rows", "calls"), [(8, 3), (1, 24), (5, 5), (3, 8)])
def test_a_worker_has_as_many_queries_at_work_whatever_a_call_holds(rows: int, calls: int) -> None:
    ranges = [Range("part", first, min(rows, 100 - first)) for first in range(0, 100, rows)]
    assert calls_at_once(ranges, 8) == calls
    assert calls_at_once([], 8) == 24


class Here:
    """Candidates on this node, without a cluster."""

    def connect(self) -> LocalReader:
        return LocalReader()


@pytest.mark.parametrize("stopped", [False, True])
def test_a_range_is_read_scored_and_ranked_and_once_stopped_left_alone(tmp_path: Path, stopped: bool) -> None:
    rows = [Candidates(f"q{n}", f"word{n}", ("a", "b"), ("none", f"a word{n}"), (2.0, 1.0)) for n in range(9)]
    write_candidates(rows, tmp_path / "some", rows_per_file=4)
    stop: Any = SimpleNamespace(is_set=lambda: stopped)
    access: Any = Here()
    worker = RerankBatches(OverlapScorer, access, stop)
    ranked = []
    for block in blocks_of(list(ranges_of(tmp_path / "some", 3))):
        for row in range(block.num_rows):
            ranked += rankings_from(asyncio.run(worker(block.slice(row, 1))))
    assert [(one.query_id, one.doc_ids, one.scores) for one in ranked] == [
        (row.query_id, ("b", "a"), (1.0, 0.0)) for row in ([] if stopped else rows)
    ]


def test_ray_data_waits_for_the_end_of_a_call_as_long_as_it_is_told() -> None:
    _set_up_ray_data(workers=2)
    waiting = inspect.getsource(streaming_executor_state.process_completed_tasks)
    assert "timeout=WAIT_FOR_TASK_COMPLETION_TIMEOUT_S" in waiting
    assert streaming_executor_state.WAIT_FOR_TASK_COMPLETION_TIMEOUT_S == LOOK_AT_CALLS_S


def test_no_call_has_a_thread_that_watches_its_memory() -> None:
    assert "memory_usage_poll_interval_s" in ray.data.DataContext.__dataclass_fields__
    _set_up_ray_data(workers=2)
    assert ray.data.DataContext.get_current().memory_usage_poll_interval_s is None
