"""A replica that dies takes its calls along: they are asked again, of another one or of its successor."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TypeVar

from serve_app.replica.client import TRANSIENT

FIRST_WAIT_S, LONGEST_WAIT_S = 0.05, 1.0
DEADLINE: ContextVar[float | None] = ContextVar("deadline", default=None)
"""When the request must be answered, by the event loop's clock; None where no request is at work."""

Answer = TypeVar("Answer")


async def patiently(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """What is answered in the end; it is the caller who sets a limit."""
    wait_s = FIRST_WAIT_S
    while True:
        try:
            return await ask()
        except TRANSIENT:
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
