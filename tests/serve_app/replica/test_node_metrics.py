"""A node says how busy it is, once a second, whatever hardware it has."""

from __future__ import annotations

import os
import time

import psutil

from serve_app.replica.gpus import Gpu, Gpus
from serve_app.replica.node_metrics import SAMPLE_EVERY_S, NodeMetrics, this_node


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class TwoGpus(Gpus):
    """The second is a part of one, and tells its memory only."""

    def look(self) -> list[Gpu]:
        gigabyte = 1_000_000_000
        return [Gpu(0, "H100", 87, gigabyte, 4 * gigabyte), Gpu(1, "H100", None, 2 * gigabyte, 4 * gigabyte)]


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
    before_mb = psutil.virtual_memory().used / 1e6
    sample = node.sample()
    after_mb = psutil.virtual_memory().used / 1e6
    assert sample is not None
    assert sample.node == "n"
    assert 100 / (os.cpu_count() or 1) * 0.6 <= sample.values["cpu_utilization_percentage"] <= 100
    used_mb = sample.values["system_memory_usage_megabytes"]
    assert 0.8 * min(before_mb, after_mb) <= used_mb <= 1.2 * max(before_mb, after_mb)
    assert 0 < sample.values["system_memory_usage_percentage"] < 100
    assert not any("gpu" in name for name in sample.values)


def test_each_gpu_tells_its_use_and_what_it_does_not_tell_is_left_out() -> None:
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


def test_the_node_is_named_so_that_mlflow_takes_it() -> None:
    name = this_node("10.0.0.7")._node
    assert name and not name.startswith("localhost")


def test_a_sample_costs_little() -> None:
    clock = Clock()
    node = NodeMetrics("n", clock=clock)
    started_s = time.thread_time()  # of this thread's own work, whatever else the machine does
    for _ in range(100):
        clock.now_s += 1
        node.sample()
    assert (time.thread_time() - started_s) / 100 < 0.01
