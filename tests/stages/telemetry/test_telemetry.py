"""Counts add up over replicas and time; percentiles come from histograms, and rates from differences."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.telemetry import telemetry
from stages.telemetry.histogram import Histogram, HistogramRecorder
from stages.telemetry.telemetry import (
    TIME_BOUNDS_MS,
    NodeSample,
    Snapshot,
    SystemPoint,
    Telemetry,
    add_up,
    ratio,
    since,
)


def histogram(*values_ms: float) -> Histogram:
    recorder = HistogramRecorder(TIME_BOUNDS_MS)
    for value_ms in values_ms:
        recorder.observe(value_ms)
    return recorder.freeze()


# --- snapshots ---

FIRST = Snapshot("r1", 10.0, prompt_tokens=100, prefix_queries=80, prefix_hits=40, finished=4, queue_ms=histogram(2.0))
LATER = Snapshot(
    "r1",
    12.0,
    prompt_tokens=260,
    generation_tokens=1,
    prefix_queries=180,
    prefix_hits=120,
    finished=9,
    preemptions=2,
    queue_ms=histogram(2.0, 8.0),
    running=3,
    waiting=5,
    kv_usage=0.25,
)


def test_a_difference_takes_off_counts_and_leaves_gauges() -> None:
    assert since(LATER, FIRST) == Snapshot(
        "r1",
        12.0,
        prompt_tokens=160,
        generation_tokens=1,
        prefix_queries=100,
        prefix_hits=80,
        finished=5,
        preemptions=2,
        queue_ms=histogram(8.0),
        running=3,
        waiting=5,
        kv_usage=0.25,
    )


def test_a_replica_without_an_earlier_snapshot_counts_in_full() -> None:
    assert since(LATER, None) == LATER


def test_replicas_add_up_but_for_the_share_of_the_cache() -> None:
    other = Snapshot("r2", 11.0, prompt_tokens=40, queue_ms=histogram(4.0), running=1, waiting=2, kv_usage=0.5)
    total = add_up([LATER, other])
    assert (total.prompt_tokens, total.finished, total.preemptions) == (300, 9, 2)
    assert total.queue_ms == histogram(2.0, 8.0, 4.0)
    assert (total.running, total.waiting, total.kv_usage, total.time_s) == (4, 7, 0.5, 12.0)


def test_no_replicas_add_up_to_nothing() -> None:
    assert add_up([]) == Snapshot("all", 0.0)


def test_a_rate_that_does_not_apply_is_not_zero() -> None:
    assert ratio(1, 4) == 0.25
    assert ratio(0, 4) == 0.0
    assert ratio(0, 0) is None


# --- the run's view ---


def test_a_point_holds_rates_since_the_point_before() -> None:
    telemetry = Telemetry({}, started_s=100.0)
    telemetry.take([FIRST], now_s=102.0, queries_done=1, pairs_done=10)
    point = telemetry.take([LATER], now_s=104.0, queries_done=3, pairs_done=40)
    assert (point.elapsed_s, point.queries_done, point.pairs_done) == (4.0, 3, 40)
    assert point.pairs_per_s == (40 - 10) / 2
    assert point.prompt_tokens_per_s == (260 - 100) / 2
    assert point.prefix_hit_rate == (120 - 40) / (180 - 80)
    assert point.queue_p95_ms == pytest.approx(8.0, rel=0.19)
    assert telemetry.points[-1] == point and len(telemetry.points) == 2


def test_a_point_without_news_has_rates_of_nothing() -> None:
    telemetry = Telemetry({}, started_s=100.0)
    telemetry.take([LATER], now_s=101.0, queries_done=1, pairs_done=10)
    point = telemetry.take([], now_s=102.0, queries_done=1, pairs_done=10)
    assert (point.pairs_per_s, point.prompt_tokens_per_s, point.running, point.waiting) == (0, 0, 0, 0)
    assert point.prefix_hit_rate is None and point.queue_p95_ms is None


def test_two_points_at_one_moment_do_not_divide_by_zero() -> None:
    telemetry = Telemetry({}, started_s=100.0)
    assert math.isfinite(telemetry.take([FIRST], now_s=100.0, queries_done=0, pairs_done=0).prompt_tokens_per_s)


def test_what_a_replica_counted_before_the_run_does_not_belong_to_it() -> None:
    telemetry = Telemetry({"r1": FIRST}, started_s=100.0)
    assert telemetry.total().prompt_tokens == 0
    point = telemetry.take([LATER], now_s=102.0, queries_done=1, pairs_done=5)
    assert point.prompt_tokens_per_s == 160 / 2
    assert telemetry.total().queue_ms == histogram(8.0)


def test_a_replica_that_died_keeps_its_counts_and_its_successor_adds_to_them() -> None:
    telemetry = Telemetry({}, started_s=100.0)
    telemetry.take([LATER], now_s=101.0, queries_done=1, pairs_done=5)
    telemetry.take([Snapshot("r1-again", 102.0, prompt_tokens=40)], now_s=102.0, queries_done=2, pairs_done=9)
    assert telemetry.total().prompt_tokens == 260 + 40


def test_of_several_snapshots_the_last_counts_and_the_highest_gauge_is_kept() -> None:
    telemetry = Telemetry({}, started_s=100.0)
    busy = Snapshot("r1", 11.0, prompt_tokens=100, running=7, waiting=9, kv_usage=0.75)
    point = telemetry.take([busy, LATER], now_s=101.0, queries_done=0, pairs_done=0)
    assert telemetry.total().prompt_tokens == 260
    assert (point.running, point.waiting, point.kv_usage) == (7, 9, 0.75)


def test_queues_of_replicas_add_up_and_their_peak_is_kept() -> None:
    telemetry = Telemetry({}, started_s=100.0)
    both = [Snapshot("r1", 11.0, waiting=4, kv_usage=0.1), Snapshot("r2", 11.0, waiting=5, kv_usage=0.3)]
    telemetry.take(both, now_s=101.0, queries_done=0, pairs_done=0)
    telemetry.take([Snapshot("r1", 12.0, waiting=1)], now_s=102.0, queries_done=0, pairs_done=0)
    assert (telemetry.waiting_peak, telemetry.kv_usage_peak) == (9, 0.3)


COUNTS = st.lists(st.tuples(st.sampled_from(["r1", "r2", "r3"]), st.integers(0, 100)), max_size=12)


@given(COUNTS, st.integers(1, 4))
def test_the_total_is_what_the_points_add_up_to_however_snapshots_are_batched(
    done: list[tuple[str, int]], batch: int
) -> None:
    counted: dict[str, int] = {}
    snapshots = []
    for place, (replica, tokens) in enumerate(done):
        counted[replica] = counted.get(replica, 0) + tokens
        snapshots.append(Snapshot(replica, float(place), prompt_tokens=counted[replica]))
    telemetry = Telemetry({}, started_s=0.0)
    points = [
        telemetry.take(snapshots[start : start + batch], float(start + 1), 0, 0)
        for start in range(0, len(snapshots), batch)
    ]
    ends = [0.0, *(point.elapsed_s for point in points)]
    told = sum(p.prompt_tokens_per_s * (end - begin) for p, begin, end in zip(points, ends, ends[1:], strict=False))
    assert telemetry.total().prompt_tokens == sum(tokens for _, tokens in done) == pytest.approx(told)


# --- nodes ---


def busy(replica: str, node: str, percent: float) -> Snapshot:
    return Snapshot(replica, 0.0, node_sample=NodeSample(node, {"cpu_utilization_percentage": percent}))


def test_two_replicas_on_a_node_do_not_double_it() -> None:
    run = Telemetry({}, started_s=100.0)
    run.take([busy("r1", "a", 40.0), busy("r2", "a", 42.0), busy("r3", "b", 10.0), Snapshot("r1", 0.0)], 101.5, 0, 0)
    assert run.system == [
        SystemPoint(1.5, "a", "cpu_utilization_percentage", 42.0),
        SystemPoint(1.5, "b", "cpu_utilization_percentage", 10.0),
    ]


def test_a_nodes_values_stand_at_the_seconds_of_the_timeline() -> None:
    run = Telemetry({}, started_s=0.0)
    for second in range(3):
        run.take([busy("r", "a", second)] if second != 1 else [Snapshot("r", 0.0)], second, 0, 0)
    assert [(point.elapsed_s, point.value) for point in run.system] == [(0, 0), (2, 2)]
    assert {point.elapsed_s for point in run.system} <= {point.elapsed_s for point in run.points}


def test_a_long_run_is_sampled_evenly_and_takes_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "MOST_SYSTEM_POINTS", 8)
    run = Telemetry({}, started_s=0.0)
    for second in range(1, 101):
        run.take([busy("r", "a", second)], second, 0, 0)
    moments = [point.elapsed_s for point in run.system]
    assert 4 <= len(moments) <= 8
    assert len({later - earlier for earlier, later in pairwise(moments)}) == 1
    assert len(run.points) == 100
