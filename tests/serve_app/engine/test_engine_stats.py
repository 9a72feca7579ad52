"""What an engine's counts say between two snapshots."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from serve_app.engine.engine_stats import EngineStats


def told(running: int, waiting: int, kv_usage: float) -> Any:
    """As much of vLLM's SchedulerStats as is read."""
    cache = SimpleNamespace(queries=0, hits=0)
    return SimpleNamespace(
        num_running_reqs=running, num_waiting_reqs=waiting, kv_cache_usage=kv_usage, prefix_cache_stats=cache
    )


def gauges(stats: EngineStats) -> tuple[int, int, float]:
    taken = stats.snapshot()
    return taken.running, taken.waiting, taken.kv_usage


def test_a_snapshot_holds_the_highest_that_was_told_since_the_one_before() -> None:
    stats = EngineStats("a")
    stats.record(told(8, 30, 0.5), None)
    stats.record(told(4, 2, 0.1), None)
    assert gauges(stats) == (8, 30, 0.5)


def test_an_engine_in_the_middle_of_a_long_step_tells_nothing_and_is_not_idle() -> None:
    stats = EngineStats("a")
    stats.record(told(8, 30, 0.5), None)
    assert [gauges(stats), gauges(stats), gauges(stats)] == [(8, 30, 0.5)] * 3


def test_an_engine_that_finished_all_is_idle_from_the_next_snapshot_on() -> None:
    stats = EngineStats("a")
    stats.record(told(8, 30, 0.5), None)
    stats.record(told(0, 0, 0.0), None)
    assert [gauges(stats), gauges(stats)] == [(8, 30, 0.5), (0, 0, 0.0)]
