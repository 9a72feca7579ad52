"""Processor time of every process between two looks; threads and reads of the service's."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil  # type: ignore[import-untyped]

from pipelines.service.diagnose.machine.rate import Rate
from pipelines.service.diagnose.machine.roles import Known, roles, short_name
from stages.telemetry.machine import SERVICE, ProcessUse, Role

# Less than this is not worth a line, unless it is the service's.
LEAST_CORES = 0.02


@dataclass(slots=True)
class Seen:
    """One process with its counters: seconds of processor time, also by thread, and megabytes read.

    A process or thread that began during the watch counts from zero.
    """

    process: psutil.Process
    known: Known
    created_s: float
    is_new: bool
    used: Rate
    read: Rate
    threads: dict[int, Rate] | None = None


class ProcessWatch:
    """All processes that this user can see. What ends meanwhile keeps what it used until it was last seen."""

    def __init__(self, port: int | None) -> None:
        self._port = port
        self._seen: dict[int, Seen] = {}
        self._began_s: float | None = None
        self._ended_s = 0.0
        self._listeners: set[int] = set()
        self._known: dict[int, Known] = {}
        self._roles: dict[int, Role] = {}

    def look(self) -> None:
        """Who is there first, then all counters in one go, so that each is over about the same time."""
        alive = set()
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):  # it ended, or is somebody else's
                self._meet(process)
                alive.add(process.pid)
        self._tell_roles(alive)
        self._ended_s = time.monotonic()
        service = self.service()
        for pid in alive:
            with contextlib.suppress(psutil.Error):
                self._look_at(self._seen[pid], inside=pid in service)
        if self._began_s is None:
            self._began_s = self._ended_s

    def service(self) -> set[int]:
        """Process ids of the service."""
        return {pid for pid, role in self._roles.items() if role in SERVICE}

    def leader(self) -> int | None:
        """The process that stands for the service: an engine's, or the listener's; None where none is seen."""
        found = sorted((role != "engine", pid) for pid, role in self._roles.items() if role in ("engine", "api"))
        return found[0][1] if found else None

    def _meet(self, process: psutil.Process) -> None:
        seen = self._seen.get(process.pid)
        if seen is None or seen.process != process:  # a process id may be used again
            # By its age it could not be told: the kernel's start times are exact to a second only.
            is_new = self._began_s is not None
            used, read = (Rate(first=0.0 if is_new else None) for _ in range(2))
            self._seen[process.pid] = Seen(process, _known(process), process.create_time(), is_new, used, read)

    def _tell_roles(self, alive: set[int]) -> None:
        listeners = self._listeners & alive or _listening_on(self._port)
        known = {pid: one.known for pid, one in self._seen.items()}
        if (listeners, known) != (self._listeners, self._known):
            self._listeners, self._known = listeners, known
            self._roles = roles(known, listeners)

    def _look_at(self, seen: Seen, *, inside: bool) -> None:
        used_s = sum(seen.process.cpu_times()[:2])
        worked = used_s != seen.used.last
        seen.used.see(used_s)
        if worked:
            seen.known = _known(seen.process)  # a process at work may name itself anew, as Ray's workers do
        if inside and (worked or seen.threads is None):  # what stood still has nothing new inside
            self._look_into(seen)

    @staticmethod
    def _look_into(seen: Seen) -> None:
        began = seen.threads is None and not seen.is_new
        seen.threads = seen.threads or {}
        for one in seen.process.threads():
            rate = seen.threads.setdefault(one.id, Rate() if began else Rate(first=0.0))
            rate.see(one.user_time + one.system_time)
        with contextlib.suppress(psutil.Error, AttributeError):  # no such counter on macOS
            seen.read.see(seen.process.io_counters().read_bytes / 1e6)

    def result(self) -> tuple[ProcessUse, ...]:
        """The service's and this command's, and others that use something, the busiest first."""
        began_s = self._ended_s if self._began_s is None else self._began_s
        seconds = max(self._ended_s - began_s, 1e-9)
        used = [self._use(self._seen[pid], role, seconds) for pid, role in self._roles.items()]
        told = [one for one in used if one.role != "other" or one.cores >= LEAST_CORES]
        return tuple(sorted(told, key=lambda one: -one.cores))

    def _use(self, seen: Seen, role: Role, seconds: float) -> ProcessUse:
        threads = [rate.mean(self._ended_s, seconds) for rate in (seen.threads or {}).values()]
        inside = role in SERVICE and seen.threads is not None
        return ProcessUse(
            role=role,
            pid=seen.known.pid,
            name=seen.known.name,
            cores=seen.used.mean(self._ended_s, seconds),
            threads=len(threads) if inside else None,
            busiest_thread_cores=max(threads, default=0.0) if inside else None,
            read_mb_s=seen.read.mean(self._ended_s, seconds) if inside and seen.read.ended_s else None,
            open_since_s=time.time() - seen.created_s,
        )


def read_by_service_mb_s(processes: Iterable[ProcessUse]) -> float | None:
    """What the service's processes read together; None where none of them tells."""
    told = [one.read_mb_s for one in processes if one.read_mb_s is not None]
    return sum(told) if told else None


def _known(process: psutil.Process) -> Known:
    arguments: list[str] = []
    with contextlib.suppress(psutil.Error):
        arguments = process.cmdline() or [process.name()]
    group = None
    with contextlib.suppress(OSError, AttributeError):
        group = os.getpgid(process.pid)
    return Known(process.pid, process.ppid(), " ".join(arguments).strip(), short_name(arguments), group)


def _listening_on(port: int | None) -> set[int]:
    """Process ids of those who listen on the port, as far as this user may know."""
    if port is None:
        return set()
    with contextlib.suppress(psutil.Error, OSError):
        return {
            one.pid
            for one in psutil.net_connections(kind="tcp")
            if one.status == psutil.CONN_LISTEN and one.laddr.port == port and one.pid
        }
    return set()
