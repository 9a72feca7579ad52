"""Processor time of a cluster on this machine by role, and what its replicas count, while a job scores."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil
import ray
from ray.exceptions import RayError

from pipelines.base.titles import part_of
from serve_app.replica.collector import NAMESPACE, News
from stages.telemetry.telemetry import Snapshot

SAMPLE_S = 0.5
# vLLM's process that computes. Its gauges do not tell whether it does: between two steps that take longer than a
# snapshot they are 0.
COMPUTING = "engine core"
IDLE_CORES = 0.1
# The parts that a job is divided into here, and what of a benchmark's finer or further parts goes into which.
ROLES = (
    *("engines", "replicas", "workers", "driver", "collector", "Serve controller", "GCS", "raylets and agents"),
    "readers",
)
OF_PART = {
    "engine worker": "engines",
    "engine core": "engines",
    "vLLM server": "engines",
    "replica": "replicas",
    "HTTP api": "replicas",
    "Serve proxy": "readers",
    "raylet and agents": "raylets and agents",
    "other": "raylets and agents",
}
ONCE = ("driver", "collector", "Serve controller", "GCS", "readers")  # a job has them once, however many nodes


@dataclass(slots=True)
class Watch:
    """Processor seconds of the cluster's processes by role, and the replicas' snapshots, as time goes on."""

    points: list[tuple[float, Counter[str]]] = field(default_factory=list)
    cores: dict[int, list[tuple[float, float]]] = field(default_factory=dict)  # of each engine, since the look before
    snapshots: list[Snapshot] = field(default_factory=list)
    _before: dict[psutil.Process, float] = field(default_factory=dict)
    _sequence: int = 0

    def look(self) -> None:
        spent = Counter(self.points[-1][1]) if self.points else Counter[str]()
        now_s, last_s = time.time(), self.points[-1][0] if self.points else 0.0
        for one in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                part, seconds = part_of(" ".join(one.cmdline())).name, sum(one.cpu_times()[:2])
                more = seconds - self._before.get(one, 0)
                spent[OF_PART.get(part, part)] += more
                if part == COMPUTING:
                    self.cores.setdefault(one.pid, []).append((now_s, more / (now_s - last_s)))
                self._before[one] = seconds
        self.points.append((now_s, spent))
        with contextlib.suppress(RayError, ValueError):
            self._ask_collector()

    def _ask_collector(self) -> None:
        names = [one["name"] for one in ray.util.list_named_actors(all_namespaces=True)]
        for name in (one for one in names if one.endswith("-telemetry")):
            collector: Any = ray.get_actor(name, namespace=NAMESPACE)
            news: News = ray.get(collector.news.remote(self._sequence), timeout=5)
            self.snapshots += news.snapshots
            self._sequence = news.sequence


@dataclass(frozen=True, slots=True)
class Measured:
    """What happened between the first and the last ranking of a job. `shares` are by replica, `idle` by engine, in
    another order; an engine is idle while it computes nothing.
    """

    seconds: float
    pairs: float
    spent: Mapping[str, float]
    shares: Mapping[str, float]
    idle: Sequence[float]
    tail_s: float | None

    def per_1000(self, *roles: str) -> float:
        return sum(self.spent.get(role, 0.0) for role in roles) / self.pairs * 1000

    def tell(self, what: str) -> None:
        rate, load = self.pairs / self.seconds, os.getloadavg()[0]
        print(f"{what}: {self.pairs:,.0f} pairs in {self.seconds:.0f} s, {rate:,.0f} pairs/s; load {load:.1f}")
        told = [f"{role} {self.per_1000(role):.3f}" for role in ROLES]
        print(f"        processor seconds per 1,000 pairs: {', '.join(told)}")
        cores = {role: self.spent.get(role, 0.0) / self.seconds for role in ONCE}
        print(f"        cores that the roles use of which a job has one: {listed(cores, '.3f')}")
        if self.tail_s is not None:
            idle = ", ".join(f"{share:.1%}" for share in self.idle)
            print(f"        shares {listed(self.shares, '.1%')}; idle {idle}; ", end="")
            print(f"from the first idle replica to the last ranking {self.tail_s:.1f} s", flush=True)


def measured(seen: Watch, began_s: float, ended_s: float, pairs: float) -> Measured:
    within = [spent for time_s, spent in seen.points if began_s - SAMPLE_S <= time_s <= ended_s + SAMPLE_S]
    replicas: dict[str, list[Snapshot]] = {}
    for one in seen.snapshots:
        if began_s <= one.time_s <= ended_s:
            replicas.setdefault(one.replica, []).append(one)
    finished = {name: some[-1].finished - some[0].finished for name, some in replicas.items()}
    looks = [
        [(time_s, cores > IDLE_CORES) for time_s, cores in some if began_s <= time_s <= ended_s]
        for some in seen.cores.values()
    ]
    busy = [[time_s for time_s, works in some if works] for some in looks]
    return Measured(
        seconds=ended_s - began_s,
        pairs=pairs,
        spent={role: within[-1][role] - within[0][role] for role in within[-1]},
        shares={name: count / sum(finished.values()) for name, count in finished.items()},
        idle=[1 - len(times) / len(some) for times, some in zip(busy, looks, strict=True)],
        tail_s=ended_s - min(times[-1] for times in busy) if busy else None,
    )


def listed(values: Mapping[str, float], form: str) -> str:
    return ", ".join(f"{name[:16]} {value:{form}}" for name, value in values.items())
