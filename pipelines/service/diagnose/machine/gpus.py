"""Use and memory of the machine's GPUs, sampled through NVIDIA's management library (NVML)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from stages.telemetry.machine import GpuUse

STEADY = 0.9


@dataclass(slots=True)
class Samples:
    """Of one GPU, each 0 to 1; `pids` are the processes that computed on it at the last look."""

    name: str
    use: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    pids: set[int] | None = None


class GpuWatch:
    """`nvml` is what `open_nvml` gave: the module pynvml, or None where there is no GPU."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._samples: dict[int, Samples] = {}

    def look(self) -> None:
        if self._nvml is None:
            return
        try:
            for index in range(self._nvml.nvmlDeviceGetCount()):
                self._look_at(index)
        except self._nvml.NVMLError:  # such as a part of a GPU (MIG), which tells no use
            return

    def _look_at(self, index: int) -> None:
        gpu = self._nvml.nvmlDeviceGetHandleByIndex(index)
        use = self._nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100
        memory = self._nvml.nvmlDeviceGetMemoryInfo(gpu)
        if index not in self._samples:
            name = self._nvml.nvmlDeviceGetName(gpu)
            self._samples[index] = Samples(name.decode() if isinstance(name, bytes) else str(name))
        samples = self._samples[index]
        samples.use.append(use)
        samples.memory.append(memory.used / memory.total)
        try:
            samples.pids = {one.pid for one in self._nvml.nvmlDeviceGetComputeRunningProcesses(gpu)}
        except self._nvml.NVMLError:
            samples.pids = None

    def result(self, service: Collection[int]) -> tuple[GpuUse, ...]:
        """`service` are its process ids. Where none of any GPU's is known here, nothing can be said of whose it is."""
        known = any(samples.pids and samples.pids & set(service) for samples in self._samples.values())
        return tuple(
            GpuUse(
                index,
                one.name,
                use_share=sum(one.use) / len(one.use),
                steady_share=sum(use > STEADY for use in one.use) / len(one.use),
                memory_share=sum(one.memory) / len(one.memory),
                of_service=bool(one.pids & set(service)) if known and one.pids is not None else None,
            )
            for index, one in sorted(self._samples.items())
        )
