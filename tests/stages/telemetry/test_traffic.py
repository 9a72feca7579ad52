"""Distributions as Prometheus has them, and what follows from a stretch of traffic."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages.telemetry.traffic import Bracket, Distribution, Traffic
from tests.monitoring import requires_prometheus

BOUNDS = (0.1, 0.2, 0.5, 1.0, math.inf)
VALUES = st.lists(st.floats(0, 5), min_size=1, max_size=50)
QUANTILES = st.floats(0.01, 0.99)


def observed(*values: float, bounds: tuple[float, ...] = BOUNDS) -> Distribution:
    return Distribution(bounds, tuple(float(sum(v <= bound for v in values)) for bound in bounds), sum(values))


# --- distributions ---


def test_a_quantile_is_linear_within_its_bucket() -> None:
    half = Distribution((1.0, 2.0, math.inf), (10.0, 20.0, 20.0), 25.0)
    assert half.quantile(0.75) == 1.5
    assert half.quantile(0.25) == 0.5


def test_what_exceeds_all_bounds_is_told_as_the_last_of_them() -> None:
    assert observed(7, 8, 9).quantile(0.5) == 1.0


def test_nothing_observed_has_no_quantile_no_mean_and_no_bracket() -> None:
    nothing = observed()
    assert (nothing.quantile(0.5), nothing.mean, nothing.bracket(0.5)) == (None, None, None)


def test_without_a_finite_bound_there_is_a_mean_but_no_quantile() -> None:
    all_in_one = Distribution((math.inf,), (2.0,), 3.0)
    assert all_in_one.quantile(0.5) is None
    assert all_in_one.mean == 1.5


@pytest.mark.parametrize(("bounds", "counts"), [((), ()), ((1.0, 2.0), (1.0, 2.0)), ((1.0, math.inf), (1.0,))], ids=str)
def test_bounds_that_do_not_end_in_infinity_or_do_not_match_the_counts_are_refused(
    bounds: tuple[float, ...], counts: tuple[float, ...]
) -> None:
    with pytest.raises(ValueError, match="bounds"):
        Distribution(bounds, counts, 0.0)


@given(VALUES, VALUES)
def test_what_is_added_is_what_would_have_been_observed_together(some: list[float], others: list[float]) -> None:
    both = observed(*some) + observed(*others)
    assert both.counts == observed(*some, *others).counts
    assert both.sum == pytest.approx(sum(some) + sum(others))
    assert (both - observed(*others)).counts == observed(*some).counts


@given(VALUES, VALUES)
def test_different_bounds_are_added_exactly_at_those_that_both_have(some: list[float], others: list[float]) -> None:
    coarse = (0.2, 1.0, math.inf)
    both = observed(*some) + observed(*others, bounds=coarse)
    assert both.bounds == coarse
    assert both.counts == observed(*some, *others, bounds=coarse).counts


@given(VALUES, QUANTILES)
def test_the_true_quantile_lies_in_the_bracket(values: list[float], share: float) -> None:
    true = next(v for i, v in enumerate(sorted(values), 1) if i >= share * len(values) - 1e-9)
    bracket = observed(*values).bracket(share)
    assert bracket is not None
    assert bracket.low - 1e-9 <= true <= bracket.high * (1 + 1e-9) + 1e-9


def test_a_small_mean_narrows_a_wide_first_bucket() -> None:
    """vLLM's first bucket for waits ends at 0.3 s."""
    bounds = (0.3, 0.5, math.inf)
    assert observed(*[0.004] * 100, bounds=bounds).bracket(0.95) == Bracket(0.0, pytest.approx(0.08))
    assert observed(*[0.29] * 100, bounds=bounds).bracket(0.95) == Bracket(0.0, 0.3)


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


# --- what follows ---

BUSY = Traffic(
    10.0,
    answered=40,
    rejected={"overload": 6, "bad_request": 2},
    failed={"timeout": 2, "client_gone": 9},
    request_s=observed(*[0.25] * 40),
    queue_s=observed(*[0.05] * 40),
    tokenize_s=observed(*[0.05] * 40),
    engine_s=observed(*[0.15] * 40),
    documents=Distribution((math.inf,), (40.0,), 400.0),
    prompt_tokens_per_request=Distribution((math.inf,), (40.0,), 80_000.0),
    queries=40,
    repeats=10,
    prompt_tokens=80_000,
    prefix_queries=80_000,
    prefix_hits=20_000,
)


def test_rates_are_over_the_time_between_the_looks() -> None:
    assert (BUSY.requests_per_s, BUSY.pairs_per_s, BUSY.prompt_tokens_per_s) == (4.0, 40.0, 8000.0)
    assert (BUSY.documents_per_request, BUSY.tokens_per_pair) == (10.0, 200.0)
    assert (BUSY.prefix_hit_rate, BUSY.repeat_share) == (0.25, 0.25)


def test_callers_that_went_away_are_neither_requests_nor_failures() -> None:
    assert BUSY.failures == {"timeout": 2}
    assert BUSY.requests == 50
    assert (BUSY.failed_share, BUSY.rejected_share, BUSY.overload_share) == (0.04, 0.16, 0.12)


def test_requests_at_once_follow_littles_law() -> None:
    assert BUSY.in_flight == pytest.approx(4.0 * 0.25)


def test_all_prompts_but_the_first_of_each_new_query_can_find_it_cached() -> None:
    """Of 400 prompts, 30 are the first of a query that was not asked before."""
    assert BUSY.shareable == pytest.approx(1 - 30 / 400)


def test_the_parts_of_a_querys_time_add_up_to_one() -> None:
    assert BUSY.stage_shares == pytest.approx({"queue": 0.2, "tokenize": 0.2, "engine": 0.6})


def test_what_is_not_told_is_none_and_so_is_all_that_follows_from_it() -> None:
    bare = Traffic(10.0, answered=40)
    assert (bare.pairs, bare.pairs_per_s, bare.documents_per_request, bare.tokens_per_pair) == (None,) * 4
    assert (bare.in_flight, bare.prefix_hit_rate, bare.repeat_share, bare.shareable) == (None,) * 4
    assert (bare.stage_shares, bare.prompt_tokens_per_s) == (None, None)


def test_since_the_start_there_are_counts_but_no_rates() -> None:
    since = Traffic(None, answered=40, request_s=observed(0.25), prompt_tokens=80)
    assert (since.requests_per_s, since.prompt_tokens_per_s, since.in_flight) == (None, None, None)


def test_without_requests_there_are_no_shares() -> None:
    nothing = Traffic(10.0, queries=0, repeats=0, prefix_queries=0, prefix_hits=0)
    assert (nothing.failed_share, nothing.rejected_share, nothing.repeat_share, nothing.prefix_hit_rate) == (None,) * 4


@pytest.mark.parametrize(
    ("traffic", "idle"),
    [
        (Traffic(1.0), True),
        (Traffic(1.0, prompt_tokens=0, kv_usage=0.5, waiting=3), True),
        (Traffic(1.0, answered=1), False),
        (Traffic(1.0, rejected={"overload": 1}), False),
        (Traffic(1.0, failed={"client_gone": 1}), False),
        (Traffic(1.0, prompt_tokens=7), False),  # a batch job passes the API by
    ],
)
def test_a_service_is_idle_when_no_request_ends_and_no_token_is_read(traffic: Traffic, idle: bool) -> None:
    assert traffic.idle is idle


def test_a_bare_servers_prompts_are_pairs() -> None:
    assert Traffic(2.0, answered=40, per_prompt=True).pairs_per_s == 20
