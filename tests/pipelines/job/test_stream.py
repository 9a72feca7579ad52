"""The stream counts what it did, and what it leans on in Ray Data is there in the version that pyproject.toml names."""

from __future__ import annotations

import inspect

import ray.data
from ray.data._internal.execution import streaming_executor_state

from pipelines.job.stream import LOOK_AT_CALLS_S, Progress, _set_up_ray_data
from stages.core.records import Ranking
from stages.files.rankings import rankings_table


def test_progress_counts_what_was_scored_in_this_run_and_what_failed() -> None:
    progress = Progress()
    scored = Ranking("q1", ("a", "b", "c"), (3.0, 2.0, 1.0), (None,) * 3, tail=("t",), store_hits=2)
    failed = Ranking("q2", ("a",), (1.0,), (None,), failed={"b": "aborted", "c": "aborted"})
    for some in ([scored, failed], [], [scored]):
        progress.add(rankings_table(some))
    assert progress == Progress(queries=3, pairs=3, failed_pairs=2)


def test_ray_data_waits_for_the_end_of_a_call_as_long_as_it_is_told() -> None:
    _set_up_ray_data(workers=2)
    waiting = inspect.getsource(streaming_executor_state.process_completed_tasks)
    assert "timeout=WAIT_FOR_TASK_COMPLETION_TIMEOUT_S" in waiting
    assert streaming_executor_state.WAIT_FOR_TASK_COMPLETION_TIMEOUT_S == LOOK_AT_CALLS_S


def test_no_call_has_a_thread_that_watches_its_memory() -> None:
    assert "memory_usage_poll_interval_s" in ray.data.DataContext.__dataclass_fields__
    _set_up_ray_data(workers=2)
    assert ray.data.DataContext.get_current().memory_usage_poll_interval_s is None
