"""The most GPU memory of some processes at once."""

from __future__ import annotations

from collections.abc import Collection

from serve_app.replica.gpus import Gpus

MIB = 1 << 20


class GpuMemory:
    """`peak_mib` is None where none of the processes was seen on a GPU. So it is in a container that numbers its
    processes itself: the machine's numbers are told.
    """

    def __init__(self, gpus: Gpus | None = None) -> None:
        self._gpus = gpus or Gpus()
        self.peak_mib: float | None = None

    def look(self, pids: Collection[int]) -> None:
        """Nothing is seen at a look at which one of the GPUs does not tell its processes: a part is no peak."""
        used: list[int] = []
        for processes in self._gpus.processes().values():
            if processes is None:
                return
            used += [one.used_bytes for one in processes if one.pid in pids and one.used_bytes is not None]
        if used:
            self.peak_mib = max(self.peak_mib or 0.0, sum(used) / MIB)
