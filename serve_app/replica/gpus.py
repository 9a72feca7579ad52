"""What the GPUs of this machine say of themselves. Nobody else asks NVIDIA's management library (NVML).

What a GPU or its driver does not tell is None: a part of a GPU (MIG) has no use of its own, some GPUs have no memory of
their own, and a driver may keep processes to itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

# Ray brings a copy, so that a GPU node needs nothing further.
NVML_MODULES = ("pynvml", "ray._private.thirdparty.pynvml")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU at one moment. `use_percent` (0 to 100) is the share of the time in which it computed anything."""

    index: int
    name: str
    use_percent: int | None
    used_bytes: int | None
    total_bytes: int | None

    @property
    def memory_share(self) -> float | None:
        """0 to 1."""
        return self.used_bytes / self.total_bytes if self.used_bytes is not None and self.total_bytes else None


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that computes on a GPU. `pid` is the machine's number for it, which a container does not know."""

    pid: int
    used_bytes: int | None


def nvidia_gpus() -> int:
    """How many there are, as NVML counts them, which Ray asks too; 0 where it is not there. Imports nothing."""
    count = ctypes.c_uint()
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return 0
    if library.nvmlInit_v2() != 0:
        return 0
    library.nvmlDeviceGetCount_v2(ctypes.byref(count))
    library.nvmlShutdown()
    return count.value


class Gpus:
    """All GPUs of this machine. `nvml` is the module pynvml, None where there is none that can be asked: no GPUs."""

    def __init__(self, nvml: Any = None) -> None:
        self._nvml = nvml

    def look(self) -> list[Gpu]:
        """How busy and how full each one is now; without those that do not answer at all."""
        return [self._look_at(index, gpu) for index, gpu in self._handles()]

    def processes(self) -> dict[int, tuple[GpuProcess, ...] | None]:
        """Who computes on each one now, by its index."""
        return {index: self._processes_of(gpu) for index, gpu in self._handles()}

    def _handles(self) -> Iterator[tuple[int, Any]]:
        if self._nvml is None:
            return
        for index in range(self._ask(self._nvml.nvmlDeviceGetCount) or 0):
            if (gpu := self._ask(self._nvml.nvmlDeviceGetHandleByIndex, index)) is not None:
                yield index, gpu

    def _look_at(self, index: int, gpu: Any) -> Gpu:
        name = self._ask(self._nvml.nvmlDeviceGetName, gpu)
        use = self._ask(self._nvml.nvmlDeviceGetUtilizationRates, gpu)
        memory = self._ask(self._nvml.nvmlDeviceGetMemoryInfo, gpu)
        return Gpu(
            index,
            name.decode() if isinstance(name, bytes) else str(name or "GPU"),
            use_percent=use.gpu if use else None,
            used_bytes=memory.used if memory else None,
            total_bytes=memory.total if memory else None,
        )

    def _processes_of(self, gpu: Any) -> tuple[GpuProcess, ...] | None:
        found = self._ask(self._nvml.nvmlDeviceGetComputeRunningProcesses, gpu)
        return None if found is None else tuple(GpuProcess(one.pid, one.usedGpuMemory) for one in found)

    def _ask(self, question: Callable[..., Any], *about: Any) -> Any:
        """None where there is no answer: not supported, not allowed, a GPU that was lost."""
        try:
            return question(*about)
        except self._nvml.NVMLError:
            return None


def open_gpus(modules: tuple[str, ...] = NVML_MODULES) -> Gpus:
    """This machine's GPUs, through the first of these modules that finds NVIDIA's driver; none where there is none."""
    for name in modules:
        with contextlib.suppress(Exception):  # not installed, no driver, no GPU: each has an error of its own
            nvml = importlib.import_module(name)
            nvml.nvmlInit()
            return Gpus(nvml)
    return Gpus()
