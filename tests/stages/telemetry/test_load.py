"""What a load test concludes from its steps: the knee, saturation, and the rows it writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.telemetry.load import Latency, LoadResult, LoadStep, Mode, knee, saturation
from stages.telemetry.load_table import COLUMNS, load_content, step_row


def step(
    level: float,
    per_s: float,
    mean_ms: float | None,
    errors: Mapping[str, int] | None = None,
    mode: Mode = "closed",
    **more: Any,
) -> LoadStep:
    """100 s at one level, `per_s` requests of 2 documents answered each second."""
    latency = None if mean_ms is None else Latency(mean_ms, mean_ms, mean_ms, mean_ms, mean_ms, mean_ms)
    answered = round(per_s * 100)
    fields: dict[str, Any] = {"documents": 2 * answered, "prompt_tokens": 20 * answered} | more
    return LoadStep(mode, level, 100.0, answered, errors=errors or {}, latency=latency, **fields)


def result(*steps: LoadStep) -> LoadResult:
    return LoadResult(
        url="http://127.0.0.1:1",
        model="tiny",
        payload="two documents",
        mode=steps[0].mode,
        steps=steps,
        knee=knee(steps),
        saturated=False,
        ended="enough",
        started="2026-01-01T00:00:00+00:00",
    )


def test_rates_are_over_the_seconds_of_the_step() -> None:
    one = step(4, per_s=5, mean_ms=800, errors={"HTTP 429": 100, "timeout": 25})
    assert (one.requests_per_s, one.pairs_per_s, one.prompt_tokens_per_s) == (5.0, 10.0, 100.0)
    assert (one.failed, one.error_share) == (125, 0.2)
    assert step(1, 1, 1, prompt_tokens=None).prompt_tokens_per_s is None
    assert step(1, 0, None).error_share == 0.0


@given(capacity=st.floats(1, 1000), start=st.floats(0.01, 0.33))
def test_the_knee_of_a_queue_lies_about_half_of_its_capacity(capacity: float, start: float) -> None:
    """M/M/1: mean time 1 / (capacity - rate), power rate * (capacity - rate), the largest at capacity / 2; of levels
    that double one lies between a third and two thirds.
    """
    rates = [start * capacity * 2**doubling for doubling in range(12)]
    steps = [
        step(rate, rate, 1e3 / (capacity - rate), mode="open", documents=round(rate * 1e6), prompt_tokens=None)
        for rate in rates
        if rate < capacity * 0.999
    ]
    found = knee(steps)
    assert found is not None
    assert 1 / 3 - 1e-3 <= steps[found].level / capacity <= 2 / 3 + 1e-3


@given(levels=st.integers(1, 10))
def test_where_more_load_costs_no_time_the_knee_is_the_last_step(levels: int) -> None:
    assert knee([step(2**n, per_s=2**n, mean_ms=50) for n in range(levels)]) == levels - 1


@given(levels=st.integers(1, 10))
def test_where_more_load_brings_nothing_the_knee_is_the_first_step(levels: int) -> None:
    assert knee([step(2**n, per_s=5, mean_ms=50 * 2**n) for n in range(levels)]) == 0


@given(st.lists(st.tuples(st.integers(1, 10**6), st.floats(0.1, 1e5)), min_size=1, max_size=8))
def test_no_step_has_more_power_than_the_knee(points: list[tuple[int, float]]) -> None:
    steps = [step(2**n, documents / 200, mean_ms) for n, (documents, mean_ms) in enumerate(points)]
    powers = [one.pairs_per_s / one.latency.mean_ms for one in steps if one.latency]
    found = knee(steps)
    assert found is not None
    assert powers[found] == pytest.approx(max(powers))


def test_a_step_that_fails_too_often_or_answers_nothing_is_no_knee() -> None:
    good, refusing = step(1, 10, 100), step(2, 90, 10, errors={"HTTP 503": 1000})
    assert knee([good, refusing, step(4, 0, None, errors={"timeout": 9})]) == 0
    assert knee([refusing]) is None
    assert knee([]) is None


def test_a_service_is_saturated_when_twice_the_load_brings_less_than_a_tenth_more() -> None:
    one, two = step(8, 100, 80), step(16, 109, 150)
    assert saturation([one, two]) == "16 clients bring 9% more throughput than 8 clients"
    assert saturation([one, step(16, 90, 180)]) == "16 clients bring no more throughput than 8 clients"
    assert saturation([one, step(16, 111, 150)]) is None
    assert saturation([one]) is None


def test_a_service_is_saturated_when_more_than_a_twentieth_fails() -> None:
    assert saturation([step(1, 1, 5, errors={"HTTP 503": 4, "timeout": 2})]) == (
        "6% of the requests failed with 1 client, most with: HTTP 503"
    )
    assert saturation([step(1, 1, 5, errors={"timeout": 5})]) is None


def test_an_open_loop_is_saturated_when_the_service_does_not_keep_up() -> None:
    assert saturation([step(100, 79, 5, mode="open")]) == ("the service answers 79 requests/s where 100 are offered")
    assert saturation([step(100, 81, 5, mode="open")]) is None


def test_a_row_has_every_column_and_what_does_not_apply_is_empty() -> None:
    nothing = step(2, 0, None, errors={"timeout": 3, "HTTP 429": 1}, prompt_tokens=None)
    found = result(step(1, 5, 100), nothing)
    first, second = step_row(found, 0), step_row(found, 1)
    assert list(first) == list(second) == list(COLUMNS)
    assert first["knee"] == 1 and first["power"] == 100.0 and first["p95_ms"] == 100.0
    assert second["knee"] == 0 and second["errors_by_kind"] == "HTTP 429: 1; timeout: 3"
    assert [second[name] for name in ("p95_ms", "prompt_tokens", "prompt_tokens_per_s", "power")] == [None] * 4


def test_the_json_holds_the_records_and_their_rates() -> None:
    content = load_content(result(step(1, 5, 100), step(2, 0, None, errors={"timeout": 3}, prompt_tokens=None)))
    assert json.loads(json.dumps(content, allow_nan=False)) == content | {"steps": list(content["steps"]), "notes": []}
    assert content["tokens_per_pair"] == 10.0
    assert content["steps"][0]["pairs_per_s"] == 10.0
    assert content["steps"][1]["errors"] == {"timeout": 3} and content["steps"][1]["latency"] is None
