"""Time that takes none, for tests of what is measured by the clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.virtual_time import VirtualTime


@pytest.fixture
def virtual_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[VirtualTime]:
    """Whatever a test runs with `asyncio.run` takes no time."""
    policy = VirtualTime()
    asyncio.set_event_loop_policy(policy)
    monkeypatch.setattr(time, "perf_counter", policy.now)
    monkeypatch.setattr(time, "monotonic", policy.now)
    yield policy
    asyncio.set_event_loop_policy(None)
