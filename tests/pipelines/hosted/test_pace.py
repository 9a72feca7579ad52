"""How fast requests leave, on a clock of the test's own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.hosted.pace import CATCH_UP_S, MARGIN_S, Pace
from tests.virtual_time import VirtualTime


def at_virtual_time(work: Coroutine[Any, Any, Any]) -> Any:
    """Run it on a loop whose clock `time.monotonic` is too."""
    policy = VirtualTime()
    loop = policy.new_event_loop()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(time, "monotonic", policy.now)
        try:
            return loop.run_until_complete(work)
        finally:
            loop.close()


async def sent(pace: Pace, requests: int, idle_s: dict[int, float]) -> list[float]:
    times = []
    for number in range(requests):
        await asyncio.sleep(idle_s.get(number, 0.0))
        await pace.turn()
        times.append(time.monotonic())
    return times


async def at_pace(per_minute: float | None, requests: int, idle_s: dict[int, float] | None = None) -> list[float]:
    return await sent(Pace(per_minute), requests, idle_s or {})


@given(st.floats(2, 300), st.dictionaries(st.integers(0, 400), st.floats(0, 90), max_size=5))
def test_no_minute_has_more_than_allowed_however_busy_the_machine_was(
    per_minute: float, idle_s: dict[int, float]
) -> None:
    times = at_virtual_time(at_pace(per_minute, 400, idle_s))
    allowed = int(per_minute)
    assert all(
        later - earlier >= (60 + MARGIN_S) * allowed / per_minute - 1e-3
        for earlier, later in zip(times, times[allowed:], strict=False)
    )


def test_requests_leave_evenly_and_at_the_full_rate() -> None:
    times = at_virtual_time(at_pace(60, 301))
    assert times[-1] - times[0] == pytest.approx(300 * (60 + MARGIN_S) / 60, abs=0.1) and MARGIN_S / 60 < 0.02
    assert all(later - earlier == pytest.approx(times[1] - times[0], abs=0.01) for earlier, later in pairwise(times))


def test_what_was_read_before_the_first_request_is_no_delay_to_be_made_up_for() -> None:
    times = at_virtual_time(at_pace(600, 100, {0: 30.0}))
    assert all(later - earlier >= 0.1 for earlier, later in pairwise(times))


@given(st.integers(1, 300), st.lists(st.floats(0, MARGIN_S - 0.01), min_size=400, max_size=400))
def test_no_server_sees_more_in_a_minute_where_one_request_takes_longer_to_arrive(
    per_minute: int, takes_s: list[float]
) -> None:
    left = at_virtual_time(at_pace(per_minute, 400))
    arrived = sorted(time + takes for time, takes in zip(left, takes_s, strict=True))
    assert all(later - earlier >= 60 for earlier, later in zip(arrived, arrived[per_minute:], strict=False))


def test_what_left_late_is_made_up_for_and_not_lost() -> None:
    late = dict.fromkeys(range(0, 600, 50), CATCH_UP_S - 1)
    times = at_virtual_time(at_pace(600, 600, late))
    assert times[-1] - times[0] < 60 * 1.1


def test_without_a_limit_nothing_waits_but_for_the_server() -> None:
    async def paused() -> tuple[list[float], list[float]]:
        pace = Pace(None)
        before = await sent(pace, 100, {})
        pace.pause(7.0)
        return before, await sent(pace, 2, {})

    before, after = at_virtual_time(paused())
    assert before[-1] - before[0] < 0.1 and after[0] - before[-1] == pytest.approx(7, abs=0.1)
