"""Latencies kept one by one, eight bytes each: their percentiles are exact, where a histogram's are not."""

from __future__ import annotations

import math
from array import array

from stages.core.metrics import Quantiles


class Latencies:
    """Seconds, as they were observed."""

    def __init__(self) -> None:
        self._seconds = array("d")

    def observe(self, seconds: float) -> None:
        self._seconds.append(seconds)

    def told_ms(self) -> Quantiles:
        """For each share the smallest latency (ms) that it did not exceed; null where nothing was observed."""
        ordered = sorted(self._seconds)
        p50, p95, p99 = (
            1000 * ordered[max(math.ceil(share * len(ordered)), 1) - 1] if ordered else None
            for share in (0.50, 0.95, 0.99)
        )
        return {"p50": p50, "p95": p95, "p99": p99}
