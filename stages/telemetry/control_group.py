"""What a control group allows a process, and how much of it is used: https://docs.kernel.org/admin-guide/cgroup-v2.html

Both versions of the interface; where a machine has neither, or sets no limit, the answer is None.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
ROOT = Path("/sys/fs/cgroup")
# What version 1 says where no limit is set: the largest number of whole pages.
NO_LIMIT_BYTES = 1 << 60


class Throttling(NamedTuple):
    """Periods of the quota, and those in which it was used up."""

    periods: int
    throttled: int


@dataclass(frozen=True, slots=True)
class ControlGroup:
    """The control group of a process, with the groups above it: the tightest limit counts."""

    pid: int | str = "self"
    proc: Path = PROC
    root: Path = ROOT

    def quota_cores(self) -> float | None:
        """Cores that the group may use together; None without a limit."""
        return min((quota for folder in self._folders("cpu") if (quota := _quota(folder)) is not None), default=None)

    def throttling(self) -> Throttling | None:
        """Of the nearest group that has a quota."""
        for folder in self._folders("cpu"):
            if _quota(folder) is not None:
                told = _numbers(folder / "cpu.stat")
                return Throttling(told["nr_periods"], told["nr_throttled"]) if "nr_periods" in told else None
        return None

    def memory_share(self) -> float | None:
        """Memory in use of the limit, without file pages that the kernel can drop; None without a limit."""
        return max(
            (share for folder in self._folders("memory") if (share := _memory_share(folder)) is not None), default=None
        )

    def _folders(self, controller: str) -> Iterator[Path]:
        """The folders of the process's group and of those above it, where they can be seen from here."""
        try:
            lines = (self.proc / str(self.pid) / "cgroup").read_text().splitlines()
        except OSError:
            return
        for line in lines:
            number, controllers, path = line.split(":", 2)
            if number == "0" or controller in controllers.split(","):
                base = self.root if number == "0" else self.root / controllers
                inner = base / path.lstrip("/")
                # Inside a container the path may be the host's, and the container's own group is the root.
                yield from (one for one in (inner, *inner.parents) if one.is_relative_to(base) and one.is_dir())


def _quota(folder: Path) -> float | None:
    """Version 2 has `cpu.max` ("200000 100000" or "max 100000"), version 1 two files."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return int(quota) / int(period) if quota not in ("max", "-1") and int(period) > 0 else None
    except (OSError, ValueError):
        return None


def _memory_share(folder: Path) -> float | None:
    names = ("memory.max", "memory.current", "inactive_file")
    if not (folder / names[0]).exists():
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    try:
        limit, used = ((folder / name).read_text().strip() for name in names[:2])
        if limit == "max" or not 0 < int(limit) < NO_LIMIT_BYTES:
            return None
        droppable = _numbers(folder / "memory.stat").get(names[2], 0)
        return min(max((int(used) - droppable) / int(limit), 0.0), 1.0)
    except (OSError, ValueError):
        return None


def _numbers(path: Path) -> dict[str, int]:
    """Lines `name number`."""
    try:
        pairs = (line.split() for line in path.read_text().splitlines())
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2}
    except (OSError, ValueError):
        return {}
