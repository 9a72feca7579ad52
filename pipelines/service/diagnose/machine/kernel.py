"""What the kernel counts of the whole machine: processor time, run queue, pressure, swap. Paths are Linux's; where
one is missing the answer is None.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from pipelines.service.diagnose.machine.rate import Clock, Rate
from stages.telemetry.cores import usable_cores

PROC = Path("/proc")
RESOURCES = ("cpu", "memory", "io")


@dataclass(frozen=True, slots=True)
class ProcessorTimes:
    """Seconds of some cores since the machine started."""

    total: float = 0.0
    busy: float = 0.0
    io_wait: float = 0.0
    steal: float = 0.0


@dataclass(frozen=True, slots=True)
class ProcessorShares:
    """Parts of the processor time between two looks, 0 to 1."""

    busy: float
    io_wait: float
    steal: float


class KernelWatch:
    """Counters at the first and the last look, and the run queue at each."""

    def __init__(self, proc: Path = PROC, clock: Clock = time.monotonic) -> None:
        self._proc = proc
        self._times: list[ProcessorTimes] = []
        self._stalled = {name: Rate(clock) for name in RESOURCES}
        self._swapped = Rate(clock)
        self._running: list[float] = []

    def look(self) -> None:
        self._times[1:] = [processor_times()]
        self._swapped.see(_swapped_mb())
        for name, rate in self._stalled.items():
            if (stalled := _stalled_s(self._proc / "pressure" / name)) is not None:
                rate.see(stalled)
        if (running := _running(self._proc)) is not None:
            self._running.append(running)

    def processor(self) -> ProcessorShares:
        """Over the time between the first and the last look; the kernel counts in hundredths of a second."""
        before, after = self._times[0], self._times[-1]
        total = after.total - before.total

        def share(part: float) -> float:
            return min(max(part / total, 0.0), 1.0) if total > 0 else 0.0

        return ProcessorShares(
            share(after.busy - before.busy),
            share(after.io_wait - before.io_wait),
            share(after.steal - before.steal),
        )

    def run_queue(self) -> float | None:
        return sum(self._running) / len(self._running) if self._running else None

    def pressure(self) -> dict[str, float] | None:
        """Share of the time in which some task waited for each resource."""
        told = {name: share for name, rate in self._stalled.items() if (share := rate.share()) is not None}
        return told or None

    def swap_mb_s(self) -> float:
        return self._swapped.per_s() or 0.0


def processor_times() -> ProcessorTimes:
    """Of the cores that this process may run on. A guest's time is part of its host's."""
    mine = set(usable_cores())
    total = busy = io_wait = steal = 0.0
    for core, times in enumerate(psutil.cpu_times(percpu=True)):
        if core not in mine:
            continue
        parts = times._asdict()
        every = sum(parts.values()) - parts.get("guest", 0.0) - parts.get("guest_nice", 0.0)
        total += every
        io_wait += parts.get("iowait", 0.0)
        steal += parts.get("steal", 0.0)
        busy += every - parts["idle"] - parts.get("iowait", 0.0) - parts.get("steal", 0.0)
    return ProcessorTimes(total, busy, io_wait, steal)


def _running(proc: Path) -> float | None:
    """Tasks that run or want to, without the one that looks."""
    try:
        running, _, _ = (proc / "loadavg").read_text().split()[3].partition("/")
        return max(float(running) - 1, 0.0)
    except (OSError, IndexError, ValueError):
        return None


def _stalled_s(path: Path) -> float | None:
    """Seconds in which some task waited: https://docs.kernel.org/accounting/psi.html"""
    try:
        return float(path.read_text().partition("\n")[0].rpartition("total=")[2]) / 1e6
    except (OSError, ValueError):
        return None


def _swapped_mb() -> float:
    swap = psutil.swap_memory()
    return float(swap.sin + swap.sout) / 1e6
