"""How fast a counter grows, over its own time: what is looked at in turn is not looked at in one moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]


@dataclass(slots=True)
class Rate:
    """A counter at the first and the last look. One that began in between is made with `first=0`."""

    clock: Clock = time.monotonic
    first: float | None = None
    last: float = 0.0
    began_s: float = 0.0
    ended_s: float = 0.0

    def see(self, value: float) -> None:
        self.last, self.ended_s = value, self.clock()
        if self.first is None:
            self.first, self.began_s = value, self.ended_s

    def per_s(self) -> float | None:
        """None where it was never seen; 0 where it was seen once, or went back (it began anew)."""
        if self.first is None:
            return None
        seconds = self.ended_s - self.began_s
        return max(self.last - self.first, 0.0) / seconds if seconds > 0 else 0.0

    def mean(self, last_look_s: float, seconds: float) -> float:
        """Per second of `seconds`, the time between the first look and the last, whose beginning is given. What was
        there all the time is measured over its own looks; what began or ended in between did no more than was seen.
        """
        was_there = self.began_s > 0 and self.ended_s >= last_look_s
        return (self.per_s() or 0.0) if was_there else max(self.last - (self.first or 0.0), 0.0) / seconds

    def share(self) -> float | None:
        """The rate of a counter of seconds, at most all of the time."""
        rate = self.per_s()
        return None if rate is None else min(rate, 1.0)
