"""How many requests may be under way: what is set, or what a rate needs at the latency that is seen."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.base.paid_sections import HostedSettings
from pipelines.hosted.places import USUAL, Places
from pipelines.hosted.waits import Waits


def places(**settings: Any) -> Places:
    return Places(HostedSettings.model_validate(settings))


@pytest.mark.parametrize(
    ("settings", "at_first", "later"),
    [
        ({}, USUAL, USUAL),
        ({"concurrency": 3}, 3, 3),
        ({"concurrency": 3, "requests_per_minute": 6000}, 3, 3),
        ({"requests_per_minute": 1200}, USUAL, 40),  # 20 a second for a second each, twice
        ({"requests_per_minute": 1200, "max_concurrency": 30}, USUAL, 30),
        ({"requests_per_minute": 1200, "max_concurrency": 2}, 2, 2),
        ({"requests_per_minute": 10}, USUAL, USUAL),
    ],
)
def test_there_are_as_many_as_set_or_as_the_rate_needs(settings: dict[str, Any], at_first: int, later: int) -> None:
    one = places(**settings)
    assert one.limit == at_first
    for _ in range(100):
        one.observe(1.0)
    assert one.limit == later and one.limit <= one.most


@given(st.lists(st.floats(0.001, 100), max_size=50), st.floats(1, 10_000))
def test_as_many_can_be_taken_at_once_as_it_says(latencies: list[float], per_minute: float) -> None:
    async def taken() -> tuple[int, int]:
        one = places(requests_per_minute=per_minute)
        for seconds in latencies:
            one.observe(seconds)
        for _ in range(one.limit):
            await asyncio.wait_for(one.__aenter__(), 10)
        waiting = asyncio.ensure_future(one.__aenter__())
        await asyncio.sleep(0)
        full = not waiting.done()
        waiting.cancel()
        return one.limit, full

    limit, full = asyncio.run(taken())
    assert full and USUAL <= limit <= 64


def test_where_they_are_too_few_for_the_rate_it_is_told_what_they_allow() -> None:
    one = places(requests_per_minute=1200, concurrency=8)
    assert one.too_few() is None  # nothing is known yet
    one.observe(1.0)
    assert one.too_few() == pytest.approx(480)
    enough = places(requests_per_minute=1200)
    enough.observe(1.0)
    assert enough.too_few() is None


@pytest.mark.parametrize("useless", [{"concurrency": 4, "requests_per_minute": 60}, {}])
def test_a_bound_that_bounds_nothing_is_refused(useless: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="max_concurrency"):
        HostedSettings.model_validate({"max_concurrency": 10, **useless})


def test_a_budget_at_no_price_is_refused() -> None:
    with pytest.raises(ValidationError, match="not 0"):
        HostedSettings(max_cost=1, price_per_1000_requests=0)


def test_what_is_waited_for_is_told_as_it_changes() -> None:
    waits = Waits("host")
    assert waits.told() == "waiting to ask host" and waits.held() == ""
    with waits.under_way(), waits.under_way():
        assert waits.told() == "waiting 0 s for host, 2 requests under way"
        waits.refuse("HTTP 503", None)
        assert waits.told().endswith("; host is asked again (HTTP 503)")
    waits.refuse("HTTP 429", 100)
    assert waits.told() == waits.held() and "host asks to wait 100 s more (HTTP 429)" in waits.told()
    waits.answer()
    assert "asks to wait" in waits.held()
