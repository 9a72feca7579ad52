"""What a Serve replica is, whatever is computed there: an actor that hosts one engine; `reporter` tells of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import ray
from ray import serve

from serve_app.engine import places
from serve_app.engine.engine_args import cpu_environment
from serve_app.engine.orphans import die_together
from serve_app.replica.collector import collector_of
from serve_app.replica.niceness import run_at
from serve_app.replica.phases import BEGINS, CONFIGURES, IMPORTS, telling_phases
from serve_app.replica.reporter import Reporter
from serve_app.settings import EngineSettings
from stages.core.errors import IdentityError
from stages.telemetry.cores import core_share, usable_cores


@dataclass(frozen=True, slots=True)
class Place:
    """Where a replica stands: of which application, and how many of its replicas share a machine at most."""

    application: str
    replicas_here: int
    max_ongoing_queries: int
    niceness: int = 0


# Given what hears of an engine's identity, and the replica's name: the engine.
Making = Callable[[str, Callable[[Any], None]], Any]
# Imports an engine's library, for the GPUs that the replica was given -> how it is made, and the library's versions.
Loading = Callable[[Sequence[str]], tuple[Making, dict[str, str]]]


class EngineReplica:
    """Hosts one engine, whose library is imported here, in the replica's process, after its environment is set.

    It has no `check_health`: Serve would call that on the event loop that computes (see `reporter`).
    """

    _at_work = 0  # calls with a batch
    _engine: Any
    _name: str
    _places: asyncio.Semaphore

    async def _host(self, engine: EngineSettings, place: Place, load: Loading) -> None:
        """Start the engine, and tell the application's collector of it. Raises EngineError, of one line."""
        self._places = asyncio.Semaphore(place.max_ongoing_queries)  # Serve's limit counts calls: a call is a batch
        context = serve.get_replica_context()
        facts: dict[str, Any] = run_at(place.niceness)  # before the engine's process is started ahead
        _settle(context.rank.local_rank, place.replicas_here, engine.tensor_parallel)
        self._guard, self._name = die_together(), context.replica_tag
        began_s = time.time()
        from serve_app.engine.light_start import spawned_light
        from serve_app.engine.start_failure import telling_why
        from serve_app.engine.warm_start import warm_engine

        ahead = warm_engine() if engine.backend == "vllm" else contextlib.nullcontext()
        collector, actor = collector_of(place.application), ray.get_runtime_context().get_actor_name()
        tell = partial(_register, collector, context.replica_tag)
        with telling_why(), spawned_light(), telling_phases(lambda phase: tell(phase=phase)), ahead:
            facts |= {"process_id": os.getpid(), "began_s": began_s, "actor": actor, "phase": IMPORTS}
            # Before the engine starts: where it fails to, its process's log tells why.
            await collector.register.remote(context.replica_tag, facts)
            make, versions = load(ray.get_runtime_context().get_accelerator_ids().get("GPU", []))
            await collector.register.remote(context.replica_tag, versions | {"phase": CONFIGURES})
            self._engine = make(context.replica_tag, partial(_tell_identity, tell))
        facts |= versions | {"ready_s": time.time(), "identity": asdict(self._engine.identity), "phase": None}
        facts |= self._engine.facts()
        await collector.register.remote(context.replica_tag, facts)
        self._reporter = Reporter(context.replica_tag, self._engine, collector, facts, at_work=lambda: self._at_work)

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        """A batch's call: when the engine dies, what it has answered is still told."""
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1

    async def tell(self) -> None:
        """Push what the engine has counted by now to the collector."""
        if reporter := getattr(self, "_reporter", None):
            await asyncio.to_thread(reporter.tell)

    async def identity(self) -> dict[str, Any]:
        """What decides what this engine gives, as `asdict` gives it."""
        return asdict(self._engine.identity)

    def _require(self, identity: str | None) -> None:
        if identity is not None and identity != self._engine.identity.digest:
            raise IdentityError(
                f"replica {self._name} scores as {self._engine.identity.digest}, the job as {identity}: the "
                "application was changed meanwhile, or its replicas differ. Run the job again"
            )

    def __del__(self) -> None:
        if reporter := getattr(self, "_reporter", None):
            reporter.stop()
        if engine := getattr(self, "_engine", None):
            engine.shutdown()


def _register(collector: Any, replica: str, **facts: Any) -> None:
    """Not waited for: the collector may start anew meanwhile."""
    collector.register.remote(replica, facts)


def _tell_identity(tell: Callable[..., None], identity: Any) -> None:
    tell(identity=asdict(identity), phase=BEGINS)


def _settle(rank: int, replicas_here: int, tensor_parallel: int) -> None:
    """The environment of an engine, before its library is imported."""
    places.settle()
    os.environ.pop("OMP_NUM_THREADS", None)  # Ray's, which counts CPUs to schedule, not to compute
    for name, value in cpu_environment(usable_cores(), rank, replicas_here, tensor_parallel, core_share()).items():
        os.environ.setdefault(name, value)
