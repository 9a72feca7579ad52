"""Patterns of requests, and what settings they want."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.diagnosis.finding import Weight
from stages.diagnosis.requests import (
    LATENCY,
    MIXED,
    THROUGHPUT,
    describe_requests,
    request_findings,
    share_up_to,
)
from stages.telemetry.histogram import Histogram
from stages.telemetry.traffic import Traffic

BOUNDS = (1, 2, 5, 10, 20, 50, 100, math.inf)


def requests_of(*sizes: int, **told: Any) -> Traffic:
    """Requests with so many documents each, of 200 tokens, within ten seconds."""
    counts = tuple(float(sum(size <= bound for size in sizes)) for bound in BOUNDS)
    documents = Histogram(BOUNDS, counts, float(sum(sizes)))
    tokens = Histogram((math.inf,), (float(len(sizes)),), 200.0 * sum(sizes))
    seen: dict[str, Any] = {"seconds": 10.0, "answered": float(len(sizes)), "documents": documents}
    return Traffic(**(seen | {"prompt_tokens_per_request": tokens} | told))


@pytest.mark.parametrize(
    ("sizes", "pattern"),
    [((100, 100, 80), THROUGHPUT), ((3, 1, 10, 2), LATENCY), ((3, 3, 100, 100), MIXED), ((20, 30), THROUGHPUT)],
)
def test_a_pattern_has_the_name_of_what_most_requests_look_like(sizes: tuple[int, ...], pattern: str) -> None:
    assert describe_requests(requests_of(*sizes), {}).pattern == pattern


def test_requests_are_described_in_the_units_that_people_think_in() -> None:
    seen = describe_requests(requests_of(100, 100, queries=4.0, repeats=1.0), {})
    assert (seen.per_s, seen.documents_mean, seen.tokens_per_pair, seen.repeat_share) == (0.2, 100.0, 200.0, 0.25)
    (finding,) = request_findings(seen)
    assert "“1 query, 100 passages”" in finding.words
    assert "200 tokens a pair" in finding.words
    assert "25% repeat a query" in finding.words


def test_without_requests_nothing_is_made_up() -> None:
    (finding,) = request_findings(describe_requests(Traffic(seconds=10.0), {"engine.compile": False}))
    assert (finding.kind, finding.weight, finding.evidence) == ("no_requests", Weight.NOTE, {})


def test_a_setting_that_does_not_suit_the_pattern_is_named_with_its_value_and_the_one_to_try() -> None:
    settings = {"engine.compile": True, "engine.prefix_caching": True, "engine.max_num_batched_tokens": 512}
    (finding,) = request_findings(describe_requests(requests_of(100, 100), settings))
    assert finding.kind == "settings_of_pattern"
    assert finding.advice is not None
    assert (finding.advice.setting, finding.advice.now, finding.advice.value) == (
        "engine.max_num_batched_tokens",
        512,
        "null",
    )


def test_a_step_of_a_service_for_people_is_to_last_a_tenth_of_a_second() -> None:
    settings = {"engine.compile": True, "engine.prefix_caching": True, "engine.max_num_batched_tokens": None}
    seen = describe_requests(requests_of(3, 3, prompt_tokens=400_000.0), settings)  # 40,000 tokens/s
    (finding,) = request_findings(seen)
    assert finding.advice is not None
    assert finding.advice.value == "4096"
    assert request_findings(describe_requests(requests_of(100, prompt_tokens=400_000.0), settings))[0].kind == "pattern"


def test_a_setting_that_is_not_known_is_neither_right_nor_wrong() -> None:
    seen = describe_requests(requests_of(100), {})
    assert {wish.fits for wish in seen.wishes} == {None}
    assert request_findings(seen)[0].weight == Weight.FINE
    assert "its settings are not known: give --config" in request_findings(seen)[0].words


@given(st.lists(st.integers(1, 150), min_size=1, max_size=30), st.floats(0, 200))
def test_a_share_lies_between_those_of_the_bounds_around_it(sizes: list[int], value: float) -> None:
    counts = tuple(float(sum(size <= bound for size in sizes)) for bound in BOUNDS)
    share = share_up_to(Histogram(BOUNDS, counts, float(sum(sizes))), value)
    assert share is not None
    below = max((bound for bound in BOUNDS if bound <= value), default=0)
    above = min(bound for bound in BOUNDS if bound > value)
    assert sum(size <= below for size in sizes) <= share * len(sizes) + 1e-9
    assert share * len(sizes) <= sum(size <= above for size in sizes) + 1e-9
