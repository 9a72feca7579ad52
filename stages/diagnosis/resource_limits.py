"""From where on a resource is the bottleneck: every threshold of step 1, with a default that can be overridden."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from stages.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """A `_share` is 0 to 1. A value that is at its limit exceeds it.

    GPU: below `gpu_low_share` it waits for the processor or the network; above `gpu_full_share` in at least
    `gpu_steady_share` of the samples it is the limit itself; between the two, with a p95 of `latency_s`, it waits for
    reading and writing.

    Processor: full from `processor_full_share` of the machine's cores; taken where others than the service use
    `taken_share` of them; a CPU engine has the machine to itself from `engine_full_share` of the usable cores. One
    thread is at its end from `thread_full_cores` of a core; tokenizing is told from `tokenize_share` of a query's time.
    A control group is throttled from `throttled_share` of its quota's periods, and `steal_share` is what a hypervisor
    may keep.

    Work: with fewer than `at_once` requests in the house on average (arrival rate times time in it, Little 1961) the
    service has little to do, whatever stands idle. A queue is a p95 of `queue_s` before the engine.

    Disk: slow when less than `disk_slow_mb_s` comes of it though it is busy for `disk_busy_share` of the time (where
    that is not counted: tasks wait for it for `io_wait_share` of the processor or `io_pressure_share` of the time).
    Below `disk_read_mb_s` it is not read.

    Memory: `memory_share` in use, tasks waiting for it `memory_pressure_share` of the time, or `swap_mb_s` swapped.

    Connections: more than `connections_per_request` new ones for each answered request, from `connections_per_s` on
    (looking at the service opens one or two itself); or `time_wait_many` in TIME_WAIT, of the 28,232 ports that Linux
    gives to one client by default.

    Raises ConfigError for a share outside of 0 to 1, or another limit that is not above 0.
    """

    gpu_low_share: float = 0.30
    gpu_full_share: float = 0.90
    gpu_steady_share: float = 0.75
    latency_s: float = 1.0
    processor_full_share: float = 0.90
    taken_share: float = 0.20
    engine_full_share: float = 0.70
    thread_full_cores: float = 0.85
    tokenize_share: float = 0.30
    throttled_share: float = 0.10
    steal_share: float = 0.05
    at_once: float = 1.0
    queue_s: float = 0.2
    disk_slow_mb_s: float = 100.0
    disk_busy_share: float = 0.60
    disk_read_mb_s: float = 1.0
    io_wait_share: float = 0.20
    io_pressure_share: float = 0.30
    memory_share: float = 0.95
    memory_pressure_share: float = 0.10
    swap_mb_s: float = 1.0
    connections_per_request: float = 0.5
    connections_per_s: float = 2.0
    time_wait_many: int = 10_000

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name.endswith("_share") and not 0 < value <= 1:
                raise ConfigError(f"resources.{one.name}: {value} is no share: write a number above 0, up to 1")
            if not 0 < value < math.inf:
                raise ConfigError(f"resources.{one.name}: {value} is no limit: write a number above 0")
        if self.gpu_low_share >= self.gpu_full_share:
            raise ConfigError(
                f"resources.gpu_low_share: {self.gpu_low_share} must be below gpu_full_share {self.gpu_full_share}"
            )
