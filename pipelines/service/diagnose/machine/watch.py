"""Watch this machine while a service works: `with MachineWatch(port, weights) as watch: ...; watch.result()`.

A thread looks at everything in turn, and at what is slow to look at seldom enough to stay cheap. What a system does not
tell is None in the record; what ends meanwhile is no error.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import psutil  # type: ignore[import-untyped]

from pipelines.service.diagnose.machine.connections import ConnectionWatch
from pipelines.service.diagnose.machine.disk import DiskWatch, Reader
from pipelines.service.diagnose.machine.gpus import GpuWatch
from pipelines.service.diagnose.machine.kernel import KernelWatch
from pipelines.service.diagnose.machine.processes import ProcessWatch, read_by_service_mb_s
from serve_app.replica.gpus import open_gpus
from stages.telemetry.control_group import ControlGroup, Throttling
from stages.telemetry.cores import usable_cores
from stages.telemetry.machine import DiskUse, Machine

EVERY_S = 0.5
# What one part of the watch may use of a core, by waiting longer between its looks; together they stay below 5 %.
SHARE_OF_A_CORE = 0.01


class Paced:
    """A look that comes no more often than its cost allows. The first one costs more, and once: it does not count."""

    def __init__(self, look: Callable[[], None]) -> None:
        self._look, self._due_s, self._is_first = look, 0.0, True

    def __call__(self, *, now: bool = False) -> None:
        """Look if it is due, or in any case `now`."""
        if not now and time.monotonic() < self._due_s:
            return
        began_s = time.thread_time()
        self._look()
        cost_s = 0.0 if self._is_first else time.thread_time() - began_s
        self._due_s, self._is_first = time.monotonic() + cost_s / SHARE_OF_A_CORE, False


class MachineWatch:
    """From entering to leaving, the machine is watched. `port` is the service's on this machine, `weights` the folder
    or file of its model; without one of them that part is not looked at. `reader` gives the disks' counters.
    """

    def __init__(
        self,
        port: int | None,
        weights: Path | None,
        every_s: float = EVERY_S,
        reader: Reader | None = None,
    ) -> None:
        self._every_s = every_s
        self._processes, self._kernel = ProcessWatch(port), KernelWatch()
        self._gpus = GpuWatch(open_gpus())
        self._disk = DiskWatch(weights, reader) if weights is not None else None
        self._connections = ConnectionWatch(port) if port is not None else None
        watches = (self._kernel, self._processes, self._gpus, self._disk, self._connections)
        self._looks = [Paced(one.look) for one in watches if one is not None]
        self._memory: list[float] = []
        self._throttled: list[Throttling] = []
        self._samples = 0
        self._began_s = self._seconds = self._cost_s = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="machine-watch", daemon=True)

    def __enter__(self) -> Self:
        self._began_s = time.monotonic()
        self._look(now=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._look(now=True)
        self._seconds = time.monotonic() - self._began_s

    def _watch(self) -> None:
        while not self._stop.wait(self._every_s):
            self._look(now=False)

    def _look(self, *, now: bool) -> None:
        began_s = time.thread_time()
        for look in self._looks:
            look(now=now)
        self._look_at_group()
        self._samples += 1
        self._cost_s += time.thread_time() - began_s

    def _look_at_group(self) -> None:
        """Memory, and the quota's periods: of the service's control group, or this command's where none is seen."""
        memory = psutil.virtual_memory()
        group = self._group()
        self._memory.append(max(1 - memory.available / memory.total, group.memory_share() or 0.0))
        if (throttled := group.throttling()) is not None:
            self._throttled[1:] = [throttled]

    def _group(self) -> ControlGroup:
        return ControlGroup(self._processes.leader() or "self")

    def result(self) -> Machine:
        """What was seen, once it is over."""
        seconds = self._seconds
        processor = self._kernel.processor()
        processes = self._processes.result()
        cores = len(usable_cores())
        return Machine(
            host=socket.gethostname(),
            seconds=seconds,
            samples=self._samples,
            cores=min(float(cores), self._group().quota_cores() or float(cores)),
            machine_cores=cores,
            busy_share=processor.busy,
            io_wait_share=processor.io_wait,
            steal_share=processor.steal,
            run_queue=self._kernel.run_queue(),
            pressure=self._kernel.pressure(),
            memory_share=sum(self._memory) / len(self._memory),
            swap_mb_s=self._kernel.swap_mb_s(),
            processes=processes,
            gpus=self._gpus.result(self._processes.service()),
            disk=self._disk_use(read_by_service_mb_s(processes)),
            connections=self._connections.result() if self._connections is not None else None,
            throttled_share=self._throttled_share(),
            watch_cores=self._cost_s / seconds,
        )

    def _disk_use(self, read_by_service: float | None) -> DiskUse | None:
        return self._disk.result(read_by_service) if self._disk is not None else None

    def _throttled_share(self) -> float | None:
        if not self._throttled:
            return None
        before, after = self._throttled[0], self._throttled[-1]
        periods = after.periods - before.periods
        return min(max((after.throttled - before.throttled) / periods, 0.0), 1.0) if periods > 0 else 0.0
