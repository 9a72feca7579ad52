"""One small actor per application that keeps the replicas' snapshots, so that a replica's death loses no counts.

Which replicas live is what Ray says of their actors, not how lately they were heard: on a busy machine a healthy one
may be late. A dead one keeps its counts and its facts, told apart by `ended_s`.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

import ray
from ray.exceptions import RayError

from stages.telemetry.telemetry import Snapshot

NAMESPACE = "rerank-eval"
PUSH_EVERY_S = 0.5
KEPT = 20_000
# Replicas that are remembered, with their last counts: some 5 KB each.
KEPT_REPLICAS = 1000
# A replica pushes what changed; where nothing does, this often, so that it is known to live.
PUSH_UNCHANGED_EVERY_S = 5.0
EXPOSE_EVERY_S = 2.0
EXPOSITION_KEPT_S = 60.0
# How long a replica that Ray takes to live may be silent: its node may be cut off, which Ray finds out after as long.
ALIVE_S = 30.0
LOOK_EVERY_S = 0.5


class News(NamedTuple):
    """Snapshots that came in after the sequence number that was asked for, and the number to ask with next."""

    sequence: int
    snapshots: list[Snapshot]


class Heard(NamedTuple):
    """What a replica is told that pushed: whether it is known, else the collector began anew meanwhile, and lacks its
    facts; and whether a service reads the Prometheus texts.
    """

    known: bool
    scraped: bool


def living_actors() -> set[str]:
    """The names of all actors of the cluster that live, or wait to start."""
    return {actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True)}


class Collector:
    """Keeps the newest snapshots in order of arrival, and of each replica the last one and what it says of itself."""

    def __init__(self, living: Callable[[], set[str]] = living_actors) -> None:
        self._living = living
        self._looked_s = 0.0
        self._recent: deque[Snapshot] = deque(maxlen=KEPT)
        self._latest: dict[str, Snapshot] = {}
        self._replicas: dict[str, dict[str, Any]] = {}
        self._sequence = 0
        self._expositions: dict[str, tuple[float, str]] = {}
        self._scraped = False
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
        """The texts of the processes that still send theirs, without those of dead replicas. From the first call on the
        replicas send them.
        """
        self._look()
        self._scraped = True
        oldest = time.time() - EXPOSITION_KEPT_S
        kept = {
            process: one for process, one in self._expositions.items() if one[0] >= oldest and not self._gone(process)
        }
        self._expositions = kept
        return [text for _, text in kept.values()]

    def alive(self) -> int:
        """How many replicas have an engine that answers."""
        self._look()
        oldest = time.time() - ALIVE_S
        return sum(one.time_s >= oldest and not self._gone(name) for name, one in self._latest.items())

    def register(self, replica: str, facts: dict[str, Any]) -> None:
        """Note what a replica says of itself; later facts add to earlier ones. `actor` is the name of its actor, and
        `began_s` when its process began (Unix s).
        """
        self._replicas.setdefault(replica, {"ended_s": None}).update(facts)
        while len(self._replicas) > KEPT_REPLICAS:
            oldest = next(iter(self._replicas))
            for kept in (self._replicas, self._latest, self._expositions):
                kept.pop(oldest, None)

    def engine_died(self, replica: str) -> None:
        """Note that a replica, which lives on for a moment, answers no more."""
        self._end(replica)

    def replicas(self) -> list[dict[str, Any]]:
        """What each says of itself, in order of their start, the dead included: `ended_s` is None for the others."""
        self._look()
        return list(self._replicas.values())

    def push(self, snapshot: Snapshot) -> Heard:
        self._look()
        self._recent.append(snapshot)
        self._latest[snapshot.replica] = snapshot
        self._sequence += 1
        return Heard(snapshot.replica in self._replicas, self._scraped)

    def latest(self) -> tuple[int, dict[str, Snapshot]]:
        return self._sequence, dict(self._latest)

    def news(self, after: int) -> News:
        self._look()
        fresh = max(0, min(self._sequence - after, len(self._recent)))  # `after` may be from before a restart
        return News(self._sequence, list(self._recent)[-fresh:] if fresh else [])

    def _look(self) -> None:
        """Note which replicas died since the last look."""
        if time.monotonic() - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = time.monotonic()
        try:
            living = self._living()
        except (RayError, RuntimeError):  # the cluster's head is away for a moment: nobody knows better
            return
        for name, facts in self._replicas.items():
            if facts.get("actor") and facts["actor"] not in living:
                self._end(name)

    def _end(self, replica: str) -> None:
        facts = self._replicas.get(replica, {})
        if facts.get("ended_s", 0.0) is None:
            facts["ended_s"] = time.time()

    def _gone(self, process: str) -> bool:
        return self._replicas.get(process, {}).get("ended_s") is not None


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
