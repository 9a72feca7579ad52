"""What an engine's counts say between two snapshots."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from vllm.v1.engine import FinishReason
from vllm.v1.metrics.stats import FinishedRequestStats, IterationStats

from serve_app.engine.engine_stats import EngineStats
from serve_app.engine.packing import Told, pack_outputs


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


# ---- a request that stands for all prompts of a call

TOLD = [Told(1, 30, 16, 0.5, 2.0, 1), Told(1, 40, 32, 1.5, 3.0, 0)]


def finished(*names: str) -> IterationStats:
    """A step in which vLLM counted these requests to their end, the first prompts of which were 7 tokens."""
    step = IterationStats()
    step.finished_requests = [
        FinishedRequestStats(FinishReason.STOP, name, e2e_latency=4.0, num_prompt_tokens=7) for name in names
    ]
    return step


def queue_of(told: list[Told]) -> Any:
    output = pack_outputs(told, [torch.zeros(1) for _ in told])
    return SimpleNamespace(output=SimpleNamespace(outputs=SimpleNamespace(data=output)))


@pytest.mark.parametrize("ahead", [True, False])
def test_a_call_is_counted_as_its_prompts_whether_its_result_is_ahead_of_its_count_or_behind(ahead: bool) -> None:
    stats, step = EngineStats("a"), finished("call", "alone")
    stats.expect("call", queue_of(TOLD))
    if ahead:
        stats.settle("call", TOLD)
    stats.record(None, step)
    if not ahead:
        stats.settle("call", TOLD)
    taken = stats.snapshot()
    assert (taken.finished, taken.queue_ms.count, taken.queue_ms.sum) == (3, 3, 2000)
    first, second, alone = step.finished_requests
    assert (first.num_prompt_tokens, first.queued_time, first.inference_time, first.e2e_latency) == (30, 0.5, 1.5, 3.0)
    assert (second.num_prompt_tokens, second.queued_time, second.num_cached_tokens) == (40, 1.5, 32)
    assert (first.num_preemptions, second.e2e_latency, alone.num_prompt_tokens) == (1, 4.0, 7)
    assert not stats._calls


def test_a_call_that_was_given_up_is_not_waited_for() -> None:
    stats = EngineStats("a")
    stats.expect("call", queue_of(TOLD))
    stats.forget(["call"])
    stats.settle("call", TOLD)
    assert not stats._calls


@pytest.mark.parametrize("left", [None, RuntimeError("the engine died")])
def test_a_call_whose_queue_holds_no_result_is_counted_as_the_request_that_it_is(left: Exception | None) -> None:
    stats, step = EngineStats("a"), finished("call")
    stats.expect("call", SimpleNamespace(output=left))
    stats.record(None, step)
    assert stats.snapshot().finished == 1
