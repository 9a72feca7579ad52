"""The most GPU memory of some processes at once, as NVIDIA's management library (NVML) tells it by process id."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

MIB = 1 << 20


class GpuMemory:
    """`nvml` is what `serve_app.replica.node_metrics.open_nvml` gave: the module pynvml, or None where there is no GPU.

    `peak_mib` is None where none of the processes was seen on a GPU. So it is in a container that numbers its processes
    itself: NVML tells the host's numbers.
    """

    def __init__(self, nvml: Any = None) -> None:
        self._nvml = nvml
        self.peak_mib: float | None = None

    def look(self, pids: Collection[int]) -> None:
        if self._nvml is None:
            return
        try:
            used = [size for index in range(self._nvml.nvmlDeviceGetCount()) for size in self._used(index, pids)]
        except self._nvml.NVMLError:  # such as a driver that does not tell processes: not at this look
            return
        if used:
            self.peak_mib = max(self.peak_mib or 0.0, sum(used) / MIB)

    def _used(self, index: int, pids: Collection[int]) -> list[int]:
        """Bytes of each of these processes on one GPU; without those whose size is not told."""
        gpu = self._nvml.nvmlDeviceGetHandleByIndex(index)
        computing = self._nvml.nvmlDeviceGetComputeRunningProcesses(gpu)
        return [one.usedGpuMemory for one in computing if one.pid in pids and one.usedGpuMemory is not None]
