"""Histograms as Prometheus has them: recorded, added, and asked for quantiles."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages.telemetry.histogram import Bracket, Histogram, HistogramRecorder
from stages.telemetry.telemetry import NO_TIMES, TIME_BOUNDS_MS
from tests.monitoring import requires_prometheus

BOUNDS = (0.1, 0.2, 0.5, 1.0)
VALUES = st.lists(st.floats(0, 5), min_size=1, max_size=50)
TIMES_MS = st.lists(st.floats(0, TIME_BOUNDS_MS[-1], allow_subnormal=False), min_size=1, max_size=40)
QUANTILES = st.floats(0.01, 0.99)


def observed(*values: float, bounds: tuple[float, ...] = BOUNDS) -> Histogram:
    recorder = HistogramRecorder(bounds)
    for value in values:
        recorder.observe(value)
    return recorder.freeze()


# --- what is recorded ---


@given(VALUES)
def test_each_count_is_of_the_observations_up_to_its_bound(values: list[float]) -> None:
    found = observed(*values)
    assert found.bounds == (*BOUNDS, math.inf)
    assert found.counts == tuple(sum(value <= bound for value in values) for bound in found.bounds)
    assert found.sum == pytest.approx(sum(values))
    assert found.mean == pytest.approx(sum(values) / len(values))


def test_a_frozen_histogram_does_not_change_with_its_recorder() -> None:
    recorder = HistogramRecorder(BOUNDS)
    frozen = recorder.freeze()
    recorder.observe(5)
    assert (frozen.count, frozen.sum) == (0, 0)


@pytest.mark.parametrize(("bounds", "counts"), [((), ()), ((1.0, 2.0), (1.0, 2.0)), ((1.0, math.inf), (1.0,))], ids=str)
def test_bounds_that_do_not_end_in_infinity_or_do_not_match_the_counts_are_refused(
    bounds: tuple[float, ...], counts: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="bounds"):
        Histogram(bounds, counts, 0.0)


# --- quantiles ---


def test_a_quantile_is_linear_within_its_bucket() -> None:
    half = Histogram((1.0, 2.0, math.inf), (10.0, 20.0, 20.0), 25.0)
    assert half.quantile(0.75) == 1.5
    assert half.quantile(0.25) == 0.5


def test_a_quantile_skips_empty_buckets() -> None:
    far = observed(0.4, 0.4, 0.9)
    assert far.quantile(0.0) == 0.2
    assert far.quantile(2 / 3) == 0.5
    assert far.quantile(1.0) == 1.0


def test_what_exceeds_all_bounds_is_told_as_the_last_of_them() -> None:
    assert observed(7, 8, 9).quantile(0.5) == 1.0


def test_nothing_observed_has_no_quantile_no_mean_and_no_bracket() -> None:
    nothing = observed()
    assert (nothing.quantile(0.5), nothing.mean, nothing.bracket(0.5)) == (None, None, None)


def test_without_a_finite_bound_there_is_a_mean_but_no_quantile() -> None:
    all_in_one = Histogram((math.inf,), (2.0,), 3.0)
    assert all_in_one.quantile(0.5) is None
    assert all_in_one.mean == 1.5


@given(VALUES, st.floats(0, 1), st.floats(0, 1))
def test_quantiles_never_fall(values: list[float], one: float, other: float) -> None:
    low, high = (observed(*values).quantile(share) for share in sorted((one, other)))
    assert low is not None and high is not None
    assert low <= high


@given(VALUES, QUANTILES)
def test_the_true_quantile_lies_in_the_bracket(values: list[float], share: float) -> None:
    true = next(v for i, v in enumerate(sorted(values), 1) if i >= share * len(values) - 1e-9)
    bracket = observed(*values).bracket(share)
    assert bracket is not None
    assert bracket.low - 1e-9 <= true <= bracket.high * (1 + 1e-9) + 1e-9


def test_a_small_mean_narrows_a_wide_first_bucket() -> None:
    """vLLM's first bucket for waits ends at 0.3 s."""
    assert observed(*[0.004] * 100, bounds=(0.3, 0.5)).bracket(0.95) == Bracket(0.0, pytest.approx(0.08))
    assert observed(*[0.29] * 100, bounds=(0.3, 0.5)).bracket(0.95) == Bracket(0.0, 0.3)


@requires_prometheus
def test_quantiles_are_those_of_prometheus(tmp_path: Path) -> None:
    values = [0.05, 0.15, 0.15, 0.3, 0.4, 0.7, 3.0]
    spread = observed(*values)
    shares = [0.01, 0.1, 0.33, 0.5, 0.8, 0.95]
    series = [
        {"series": f'h_bucket{{le="{"+Inf" if bound == math.inf else bound}"}}', "values": f"{count}"}
        for bound, count in zip(spread.bounds, spread.counts, strict=True)
    ]
    asked: list[dict[str, Any]] = [
        {
            "expr": f"abs(histogram_quantile({share}, h_bucket) - {spread.quantile(share)}) < bool 1e-9",
            "eval_time": "0s",
            "exp_samples": [{"labels": "{}", "value": 1}],
        }
        for share in shares
    ]
    rules, tests = tmp_path / "rules.yml", tmp_path / "tests.yml"
    rules.write_text("groups: []\n")
    tests.write_text(
        yaml.safe_dump(
            {
                "rule_files": [str(rules)],
                "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": asked}],
            }
        )
    )
    done = subprocess.run(["promtool", "test", "rules", str(tests)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# --- sums and differences ---


@given(VALUES, VALUES)
def test_what_is_added_is_what_would_have_been_observed_together(some: list[float], others: list[float]) -> None:
    both = observed(*some) + observed(*others)
    assert (both.bounds, both.counts) == (observed().bounds, observed(*some, *others).counts)
    assert both.sum == pytest.approx(sum(some) + sum(others))
    before = both - observed(*others)
    assert before.counts == observed(*some).counts
    assert before.sum == pytest.approx(sum(some), abs=1e-9)


@given(VALUES, VALUES)
def test_different_bounds_are_added_exactly_at_those_that_both_have(some: list[float], others: list[float]) -> None:
    coarse = (0.2, 1.0)
    both = observed(*some) + observed(*others, bounds=coarse)
    assert both.bounds == (*coarse, math.inf)
    assert both.counts == observed(*some, *others, bounds=coarse).counts


# --- the bounds of an engine's times ---


def test_times_reach_from_a_millisecond_to_ten_minutes() -> None:
    assert TIME_BOUNDS_MS[0] == 1
    assert TIME_BOUNDS_MS[-1] > 10 * 60 * 1000
    assert TIME_BOUNDS_MS[1] == pytest.approx(1.19, abs=0.01)
    assert (NO_TIMES.bounds, NO_TIMES.count) == ((*TIME_BOUNDS_MS, math.inf), 0)


@given(TIMES_MS, st.floats(0.01, 1))
def test_a_quantile_of_times_is_at_most_one_bucket_from_the_true_one(values_ms: list[float], share: float) -> None:
    true = sorted(values_ms)[math.ceil(share * len(values_ms)) - 1]
    told = observed(*values_ms, bounds=TIME_BOUNDS_MS).quantile(share)
    assert told is not None
    assert told <= max(true, 1.0) * 1.1893
    assert told >= true / 1.1893 or true <= 1.0
