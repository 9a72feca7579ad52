"""What a machine did while a service worked on it: the records of one watch.

Numbers are means over the time of watching unless said otherwise; a share is 0 to 1, a megabyte 10**6 bytes, a core
one second of processor time per second. What a system does not tell is None, never 0. No logic but sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Role = Literal["engine", "replica", "api", "proxy", "ray", "this command", "other"]
DiskKind = Literal["ssd", "hdd", "network", "memory", "unknown"]

SERVICE: tuple[Role, ...] = ("engine", "replica", "api", "proxy", "ray")


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """One process. A `busiest_thread_cores` near 1 while its other threads idle: one thread is the limit.

    Threads and reads are looked at in the service's processes only, and None elsewhere or where that is forbidden.
    `open_since_s` is its age in seconds at the end of the watch; `name` is its title, cut.
    """

    role: Role
    pid: int
    name: str
    cores: float
    threads: int | None
    busiest_thread_cores: float | None
    read_mb_s: float | None
    open_since_s: float


@dataclass(frozen=True, slots=True)
class GpuUse:
    """One GPU. Its use is the share of the time in which it computed anything, however little (NVML's gpu utilization,
    https://docs.nvidia.com/deploy/nvml-api/api/structnvmlUtilization__t.html). `steady_share` is the share of samples
    above 90 % use; `of_service` tells whether a process of the service computes on it, None where the driver does not
    say (as in a container with its own process numbers).
    """

    index: int
    name: str
    use_share: float
    steady_share: float
    memory_share: float
    of_service: bool | None = None


@dataclass(frozen=True, slots=True)
class DiskUse:
    """The disk that holds the model's weights (`path`, of `weights_mb` in all where that can be counted).

    `kind` "unknown" includes a virtual machine's disk, which is often said to rotate and seldom does. `read_mb_s` is
    what the whole machine reads from it (of a network disk: what the service's processes read). `busy_share` is the
    share of the time in which it had a request to serve; `service_read_mb_s` what the service's processes read of it,
    or of any other disk.
    """

    path: str
    device: str
    kind: DiskKind
    read_mb_s: float | None
    busy_share: float | None
    weights_mb: float | None = None
    service_read_mb_s: float | None = None


@dataclass(frozen=True, slots=True)
class Connections:
    """TCP connections of clients to the service's port. `by_state` counts them at the end, by Linux's names.

    `time_wait_per_s` counts those newly seen in TIME_WAIT (on whichever side closed first, if it is on this machine),
    `opened_per_s` those newly seen in any state: a lower bound, since one that opens and closes between two looks
    leaves nothing where a client elsewhere closes first. `accepted_per_s` is what the whole machine accepted on any
    port: an upper bound.
    """

    by_state: Mapping[str, int]
    time_wait_per_s: float
    opened_per_s: float
    accepted_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine over `seconds`, looked at `samples` times.

    `machine_cores` are those that this command may run on (its affinity); the `_share`s of processor time are of them.
    `cores` are as many, or fewer where a control group's quota says so (the service's group; this command's where no
    process of the service is seen). `busy_share` leaves out waiting for disks and what a hypervisor took. `run_queue`
    is the mean number of tasks that run or want to. `pressure` is the share of the time in which some task waited for
    "cpu", "memory" or "io" (Linux's pressure stall information). `throttled_share` is the share of the quota's periods
    in which the control group used it up. `memory_share` is the machine's, or the group's of its limit if that is
    more. `processes` are all of the service's and this command's, and every other that uses 0.02 cores or more.
    `watch_cores` is what the watching itself used.
    """

    host: str
    seconds: float
    samples: int
    cores: float
    machine_cores: int
    busy_share: float
    io_wait_share: float
    steal_share: float
    run_queue: float | None
    pressure: Mapping[str, float] | None
    memory_share: float
    swap_mb_s: float
    processes: tuple[ProcessUse, ...] = ()
    gpus: tuple[GpuUse, ...] = ()
    disk: DiskUse | None = None
    connections: Connections | None = None
    throttled_share: float | None = None
    watch_cores: float = 0.0

    @property
    def unseen_cores(self) -> float:
        """Cores in use by what this command does not see, as in another container."""
        return max(0.0, self.busy_share * self.machine_cores - sum(one.cores for one in self.processes))

    def of(self, *roles: Role) -> tuple[ProcessUse, ...]:
        """The processes with one of these roles, the busiest first."""
        return tuple(sorted((one for one in self.processes if one.role in roles), key=lambda one: -one.cores))

    def cores_of(self, *roles: Role) -> float:
        """Cores that all processes with one of these roles use together."""
        return sum(one.cores for one in self.of(*roles))
