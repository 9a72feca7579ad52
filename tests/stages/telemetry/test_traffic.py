"""What follows from a stretch of traffic."""

from __future__ import annotations

import math

import pytest

from stages.telemetry.histogram import Histogram
from stages.telemetry.traffic import Traffic

BOUNDS = (0.1, 0.2, 0.5, 1.0, math.inf)


def observed(*values: float) -> Histogram:
    return Histogram(BOUNDS, tuple(float(sum(v <= bound for v in values)) for bound in BOUNDS), sum(values))


BUSY = Traffic(
    10.0,
    answered=40,
    rejected={"overload": 6, "bad_request": 2},
    failed={"timeout": 2, "client_gone": 9},
    request_s=observed(*[0.25] * 40),
    queue_s=observed(*[0.05] * 40),
    tokenize_s=observed(*[0.05] * 40),
    engine_s=observed(*[0.15] * 40),
    documents=Histogram((math.inf,), (40.0,), 400.0),
    prompt_tokens_per_request=Histogram((math.inf,), (40.0,), 80_000.0),
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
