"""A node says how busy it is, once a second, whatever hardware it has."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from serve_app.replica.node_metrics import SAMPLE_EVERY_S, NodeMetrics, open_nvml, this_node


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class TwoGpus:
    """pynvml on a node with two GPUs; the second is a part of one, and tells its memory only."""

    class NVMLError(Exception):
        """As pynvml's."""

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetMemoryInfo(self, gpu: int) -> Any:  # noqa: N802
        return SimpleNamespace(used=(gpu + 1) * 1_000_000_000, total=4_000_000_000)

    def nvmlDeviceGetUtilizationRates(self, gpu: int) -> Any:  # noqa: N802
        if gpu == 1:
            raise self.NVMLError("not supported")
        return SimpleNamespace(gpu=87)


def test_a_sample_is_taken_once_a_second_however_often_it_is_asked_for() -> None:
    clock = Clock()
    node = NodeMetrics("n", clock=clock)
    assert node.sample() is None
    clock.now_s += SAMPLE_EVERY_S
    assert node.sample() is not None
    assert node.sample() is None


def test_processors_and_memory_are_those_of_the_machine() -> None:
    clock = Clock()
    node = NodeMetrics("n", clock=clock)
    until_s = time.monotonic() + 0.5
    while time.monotonic() < until_s:  # one core is busy
        pass
    clock.now_s += 1
    sample = node.sample()
    assert sample is not None
    assert sample.node == "n"
    assert 100 / (os.cpu_count() or 1) * 0.6 <= sample.values["cpu_utilization_percentage"] <= 100
    used_mb = psutil.virtual_memory().used / 1e6
    assert sample.values["system_memory_usage_megabytes"] == pytest.approx(used_mb, rel=0.2)
    assert 0 < sample.values["system_memory_usage_percentage"] < 100
    assert not any("gpu" in name for name in sample.values)


def test_each_gpu_tells_its_use_and_one_that_does_not_is_left_out() -> None:
    clock = Clock()
    node = NodeMetrics("n", TwoGpus(), clock)
    clock.now_s += 1
    sample = node.sample()
    assert sample is not None
    assert {name: value for name, value in sample.values.items() if name.startswith("gpu")} == {
        "gpu_0_memory_usage_megabytes": 1000.0,
        "gpu_0_memory_usage_percentage": 25.0,
        "gpu_0_utilization_percentage": 87.0,
        "gpu_1_memory_usage_megabytes": 2000.0,
        "gpu_1_memory_usage_percentage": 50.0,
    }


def test_a_node_without_nvidias_driver_or_without_the_module_has_no_gpus() -> None:
    assert open_nvml(("no_such_module",)) is None
    assert open_nvml(("json",)) is None  # a module that is not pynvml stands for a driver that is not there


def test_the_node_is_named_so_that_mlflow_takes_it() -> None:
    name = this_node("10.0.0.7")._node
    assert name and not name.startswith("localhost")


def test_a_sample_costs_little() -> None:
    clock = Clock()
    node = NodeMetrics("n", clock=clock)
    started_s = time.process_time()
    for _ in range(100):
        clock.now_s += 1
        node.sample()
    assert (time.process_time() - started_s) / 100 < 0.01
