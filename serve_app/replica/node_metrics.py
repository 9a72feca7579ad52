"""How busy the node of this process is: processors, memory and GPUs, once a second at most.

The names and units are those of MLflow's own system metrics (mlflow.system_metrics.metrics): `..._percentage` is 0 to
100, a megabyte is 10**6 bytes.
"""

from __future__ import annotations

import contextlib
import importlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil  # type: ignore[import-untyped]

from stages.telemetry.telemetry import NodeSample

SAMPLE_EVERY_S = 1.0
# Ray brings a copy, so that a GPU node needs nothing further.
NVML_MODULES = ("pynvml", "ray._private.thirdparty.pynvml")


class NodeMetrics:
    """Samples of this node. Processor use is over the time since the sample before, for the first since this was made.

    `nvml` is the module pynvml, or None where the node has no GPU that it can ask.
    """

    def __init__(self, node: str, nvml: Any = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._node, self._nvml, self._clock = node, nvml, clock
        self._sampled_s = clock()
        self._busy, self._total = _processor_seconds()

    def sample(self) -> NodeSample | None:
        """One sample; None where the last is not a second old yet."""
        if self._clock() - self._sampled_s < SAMPLE_EVERY_S:
            return None
        self._sampled_s = self._clock()
        values = dict(self._processors_and_memory())
        if self._nvml is not None:
            values |= _gpus(self._nvml)
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
    return NodeMetrics(address if not name or name.startswith("localhost") else name, open_nvml())


def open_nvml(modules: tuple[str, ...] = NVML_MODULES) -> Any:
    """The first of these modules that finds NVIDIA's driver; None where there is none."""
    for name in modules:
        with contextlib.suppress(Exception):  # not installed, no driver, no GPU: each has an error of its own
            nvml = importlib.import_module(name)
            nvml.nvmlInit()
            return nvml
    return None


def _processor_seconds() -> tuple[float, float]:
    """(busy, all) seconds of all cores since the node started. A guest's are part of its host's; waiting is idle."""
    times = psutil.cpu_times()._asdict()
    total = sum(times.values()) - times.get("guest", 0.0) - times.get("guest_nice", 0.0)
    return total - times["idle"] - times.get("iowait", 0.0), total


def _gpus(nvml: Any) -> dict[str, float]:
    """Use and memory of every GPU of the node; one that does not answer is left out."""
    values: dict[str, float] = {}
    try:
        for index in range(nvml.nvmlDeviceGetCount()):
            gpu = nvml.nvmlDeviceGetHandleByIndex(index)
            memory = nvml.nvmlDeviceGetMemoryInfo(gpu)
            values[f"gpu_{index}_memory_usage_megabytes"] = memory.used / 1e6
            values[f"gpu_{index}_memory_usage_percentage"] = 100 * memory.used / memory.total
            values[f"gpu_{index}_utilization_percentage"] = float(nvml.nvmlDeviceGetUtilizationRates(gpu).gpu)
    except nvml.NVMLError:  # such as a part of a GPU (MIG), which tells no use
        return values
    return values
