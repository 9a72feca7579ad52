"""An event loop on which nobody waits: when nothing can run, its clock jumps to what is due next.

What is timed in it is exact, and the same on a busy machine as on an idle one.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from typing import Any

MOMENT_S = 1e-6
"""What a turn of the loop takes: on a clock that stands still, who sleeps until a moment may never reach it."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """Sleeps take no time; what its clients meet is `now`, in seconds. Without sockets: nothing comes from outside."""

    def __init__(self) -> None:
        self.now = time.monotonic()
        super().__init__(_Jumping(self))

    def time(self) -> float:
        return self.now


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Never waits: the time that it was to wait is added to its loop's clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        assert timeout is not None, "nothing is due: a test waits for what never comes"
        self._loop.now += max(timeout, MOMENT_S)
        return super().select(0)


class VirtualTime(asyncio.DefaultEventLoopPolicy):
    """Every loop that is made is a VirtualLoop, and `time.perf_counter` and `time.monotonic` are its clock."""

    def __init__(self) -> None:
        super().__init__()
        self._latest: VirtualLoop | None = None

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        self._latest = VirtualLoop()
        return self._latest

    def now(self) -> float:
        return self._latest.now if self._latest else 0.0
