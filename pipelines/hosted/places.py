"""How many requests may be under way at once: as many as set, or as many as a rate needs."""

from __future__ import annotations

import asyncio
import math
from types import TracebackType

from pipelines.base.paid_sections import HostedSettings

# Where neither a number nor a rate is set, and what is begun with where a rate is.
USUAL = 8
# Of what Little's law asks for: latencies scatter, and a request that must wait for a place leaves late.
HEADROOM = 2.0
# What the latest answer counts in the mean latency.
LATEST_SHARE = 0.1


class Places:
    """`async with` around each request, in one event loop. `limit` places there are; they become more, up to `most`,
    where `requests_per_minute` needs them: at r requests a second that take s seconds r x s are under way (Little,
    1961). Never fewer again: how many leave is the pace's to limit.
    """

    def __init__(self, settings: HostedSettings) -> None:
        self._per_s = (settings.requests_per_minute or 0.0) / 60
        self.most = settings.concurrency or (settings.max_concurrency if self._per_s else USUAL)
        self.limit = settings.concurrency or min(self.most, USUAL)
        self.latency_s: float | None = None
        self._free = asyncio.Semaphore(self.limit)

    async def __aenter__(self) -> None:
        await self._free.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._free.release()

    def observe(self, seconds: float) -> None:
        """An answer took so long."""
        before = seconds if self.latency_s is None else self.latency_s
        self.latency_s = before + LATEST_SHARE * (seconds - before)
        needed = min(math.ceil(HEADROOM * self._per_s * self.latency_s), self.most)
        for _ in range(needed - self.limit):
            self._free.release()
        self.limit = max(self.limit, needed)

    def too_few(self) -> float | None:
        """How many requests a minute can leave with `most` places at the latency that is seen, where that is fewer than
        allowed.
        """
        if not self.latency_s or self.most >= self._per_s * self.latency_s:
            return None
        return 60 * self.most / self.latency_s
