"""How fast requests leave: evenly, never more in any minute than allowed, and none while the server asks to wait."""

from __future__ import annotations

import asyncio
import time
from collections import deque

# Requests that left late, as this machine was busy, are made up for within so long: else the limit is never reached.
CATCH_UP_S = 5.0
# A minute counts as so much longer: one request takes less long to arrive than another, as the first that must connect.
MARGIN_S = 1.0


class Pace:
    """`await turn()` before each request. For one event loop. `per_minute` None: no limit but `pause`."""

    def __init__(self, per_minute: float | None) -> None:
        self._interval_s = (60 + MARGIN_S) / per_minute if per_minute else 0.0
        most = max(int(per_minute), 1) if per_minute else 1
        self._window_s = most * self._interval_s
        self._sent: deque[float] = deque(maxlen=most)
        self._next_s: float | None = None  # nothing is late before the first
        self._paused_until_s = 0.0
        self._lock = asyncio.Lock()

    async def turn(self) -> None:
        """Returns when the next request may leave."""
        async with self._lock:
            while (wait_s := self._due_s() - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            now = time.monotonic()
            self._next_s = max(now if self._next_s is None else self._next_s, now - CATCH_UP_S) + self._interval_s
            self._sent.append(now)

    def pause(self, seconds: float) -> None:
        """Nothing leaves for so long."""
        self._paused_until_s = max(self._paused_until_s, time.monotonic() + seconds)

    def _due_s(self) -> float:
        full = len(self._sent) == self._sent.maxlen
        in_window_s = self._sent[0] + self._window_s if full and self._interval_s else 0.0
        return max(self._paused_until_s, self._next_s or 0.0, in_window_s)
