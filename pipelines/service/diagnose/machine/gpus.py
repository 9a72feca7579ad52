"""Use and memory of the machine's GPUs over some time, and whose they are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from serve_app.replica.gpus import Gpus
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
    """A GPU that tells no use, or no memory, is not watched."""

    def __init__(self, gpus: Gpus) -> None:
        self._gpus = gpus
        self._samples: dict[int, Samples] = {}

    def look(self) -> None:
        computing = self._gpus.processes()
        for gpu in self._gpus.look():
            if gpu.use_percent is not None and gpu.memory_share is not None:
                samples = self._samples.setdefault(gpu.index, Samples(gpu.name))
                samples.use.append(gpu.use_percent / 100)
                samples.memory.append(gpu.memory_share)
                processes = computing.get(gpu.index)
                samples.pids = None if processes is None else {one.pid for one in processes}

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
