"""Percentiles of latencies that are kept one by one."""

from __future__ import annotations

from stages.telemetry.latencies import Latencies


def test_percentiles_are_latencies_that_were_observed() -> None:
    latencies = Latencies()
    for number in range(100, 0, -1):
        latencies.observe(number / 1000)
    assert latencies.told_ms() == {"p50": 50.0, "p95": 95.0, "p99": 99.0}


def test_of_none_nothing_is_told() -> None:
    assert Latencies().told_ms() == {"p50": None, "p95": None, "p99": None}
