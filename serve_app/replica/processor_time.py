"""How much this machine's processors compute for an engine: its replica's process, and those that it started."""

from __future__ import annotations

import contextlib

import psutil  # type: ignore[import-untyped]


class ProcessorTime:
    """Counts from when it is made, over this process and those below it then: an engine that is ready has started its
    own. One that ends keeps what it had computed when it was last asked.
    """

    def __init__(self) -> None:
        own = psutil.Process()
        self._spent_s = dict.fromkeys([own, *own.children(recursive=True)], 0.0)
        self._before_s = self._total_s()

    def spent_s(self) -> float:
        """Processor seconds, in user and in kernel mode, of all threads."""
        return max(self._total_s() - self._before_s, 0.0)

    def _total_s(self) -> float:
        for one in self._spent_s:
            with contextlib.suppress(psutil.Error):
                self._spent_s[one] = sum(one.cpu_times()[:2])
        return sum(self._spent_s.values())
