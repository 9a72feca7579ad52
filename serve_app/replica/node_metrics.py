"""How busy the node of this process is: processors, memory and GPUs, once a second at most.

The names and units are those of MLflow's own system metrics (mlflow.system_metrics.metrics): `..._percentage` is 0 to
100, a megabyte is 10**6 bytes.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import psutil  # type: ignore[import-untyped]

from serve_app.replica.gpus import Gpu, Gpus, open_gpus
from stages.telemetry.telemetry import NodeSample

SAMPLE_EVERY_S = 1.0


class NodeMetrics:
    """Samples of this node. Processor use is over the time since the sample before, for the first since this was made.
    What a GPU does not tell is left out.
    """

    def __init__(self, node: str, gpus: Gpus | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._node, self._gpus, self._clock = node, gpus or Gpus(), clock
        self._sampled_s = clock()
        self._busy, self._total = _processor_seconds()

    def sample(self) -> NodeSample | None:
        """One sample; None where the last is not a second old yet."""
        if self._clock() - self._sampled_s < SAMPLE_EVERY_S:
            return None
        self._sampled_s = self._clock()
        values = dict(self._processors_and_memory())
        for gpu in self._gpus.look():
            values |= dict(_use_and_memory(gpu))
        return NodeSample(self._node, values)

    def _processors_and_memory(self) -> Iterator[tuple[str, float]]:
        busy, total = _processor_seconds()
        if total > self._total:
            share = (busy - self._busy) / (total - self._total)
            yield "cpu_utilization_percentage", 100 * min(max(share, 0.0), 1.0)
        self._busy, self._total = busy, total
        memory = psutil.virtual_memory()
        yield "system_memory_usage_megabytes", memory.used / 1e6
        yield "system_memory_usage_percentage", 100 * memory.used / memory.total


def this_node(address: str) -> NodeMetrics:
    """The metrics of this node, named after its host, or by its `address` where its host has no name of its own."""
    name = socket.gethostname()
    return NodeMetrics(address if not name or name.startswith("localhost") else name, open_gpus())


def _processor_seconds() -> tuple[float, float]:
    """(busy, all) seconds of all cores since the node started. A guest's are part of its host's; waiting is idle."""
    times = psutil.cpu_times()._asdict()
    total = sum(times.values()) - times.get("guest", 0.0) - times.get("guest_nice", 0.0)
    return total - times["idle"] - times.get("iowait", 0.0), total


def _use_and_memory(gpu: Gpu) -> Iterator[tuple[str, float]]:
    if gpu.used_bytes is not None:
        yield f"gpu_{gpu.index}_memory_usage_megabytes", gpu.used_bytes / 1e6
    if gpu.memory_share is not None:
        yield f"gpu_{gpu.index}_memory_usage_percentage", 100 * gpu.memory_share
    if gpu.use_percent is not None:
        yield f"gpu_{gpu.index}_utilization_percentage", float(gpu.use_percent)
