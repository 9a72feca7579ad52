"""One small actor per application that keeps the replicas' snapshots, so that a replica's death loses no counts."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError

from stages.telemetry.telemetry import Snapshot

NAMESPACE = "rerank-eval"
PUSH_EVERY_S = 0.5
KEPT = 20_000
EXPOSE_EVERY_S = 2.0
# A busy replica may push late; a dead one is found out after this.
ALIVE_S = 3.0
EXPOSITION_KEPT_S = 60.0


class News(NamedTuple):
    """Snapshots that came in after the sequence number that was asked for, and the number to ask with next."""

    sequence: int
    snapshots: list[Snapshot]


class Collector:
    """Keeps the newest snapshots in order of arrival, and the last one of each replica for good."""

    def __init__(self) -> None:
        self._recent: deque[Snapshot] = deque(maxlen=KEPT)
        self._latest: dict[str, Snapshot] = {}
        self._replicas: dict[str, dict[str, Any]] = {}
        self._sequence = 0
        self._expositions: dict[str, tuple[float, str]] = {}
        self._holders: set[str] = set()

    def hold(self, holder: str) -> None:
        """Note that this job or service uses the application."""
        self._holders.add(holder)

    def release(self, holder: str) -> int:
        """Note that it does no more; returns how many still do."""
        self._holders.discard(holder)
        return len(self._holders)

    def expose(self, process: str, text: str) -> None:
        """Keep the newest Prometheus text of a process."""
        self._expositions[process] = (time.time(), text)

    def expositions(self) -> list[str]:
        """The texts of the processes that still send theirs."""
        oldest = time.time() - EXPOSITION_KEPT_S
        return [text for sent_s, text in self._expositions.values() if sent_s >= oldest]

    def alive(self) -> int:
        """How many replicas sent a snapshot just now."""
        return sum(time.time() - one.time_s < ALIVE_S for one in self._latest.values())

    def register(self, replica: str, facts: dict[str, Any]) -> None:
        """Note what a replica says of itself, and when (Unix s); later facts add to earlier ones."""
        facts = facts | {"told_s": time.time()}
        self._replicas.setdefault(replica, {}).update(facts)

    def replicas(self) -> list[dict[str, Any]]:
        return list(self._replicas.values())

    def push(self, snapshot: Snapshot) -> None:
        self._recent.append(snapshot)
        self._latest[snapshot.replica] = snapshot
        self._sequence += 1

    def latest(self) -> tuple[int, dict[str, Snapshot]]:
        return self._sequence, dict(self._latest)

    def news(self, after: int) -> News:
        fresh = max(0, min(self._sequence - after, len(self._recent)))  # `after` may be from before a restart
        return News(self._sequence, list(self._recent)[-fresh:] if fresh else [])


def collector_of(application: str) -> Any:
    """The application's collector, started where there is none."""
    options = {"name": f"{application}-telemetry", "namespace": NAMESPACE, "get_if_exists": True}
    # Where its process or node is lost it starts anew, empty: counts are lost then, no job is.
    restarts = {"max_restarts": -1, "max_task_retries": -1}
    return ray.remote(Collector).options(num_cpus=0, lifetime="detached", **options, **restarts).remote()


def stop_collector(application: str) -> None:
    """Remove the application's collector, if there is one."""
    with contextlib.suppress(ValueError, RayError):
        ray.kill(ray.get_actor(f"{application}-telemetry", namespace=NAMESPACE))
