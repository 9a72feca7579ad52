"""The Serve replica: an actor that hosts one engine and answers queries; `reporter` tells of it meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import ray
from ray import serve

from serve_app.engine import places
from serve_app.engine.engine_args import cpu_environment
from serve_app.engine.models import ModelInfo
from serve_app.engine.orphans import die_together
from serve_app.replica.collector import collector_of
from serve_app.replica.niceness import run_at
from serve_app.replica.phases import BEGINS, CONFIGURES, IMPORTS, telling_phases
from serve_app.replica.reporter import Reporter
from serve_app.settings import Backend, EngineSettings, ModelSettings
from stages.core.columns import Columns, pack
from stages.core.errors import IdentityError
from stages.core.identity import ScoringIdentity
from stages.core.records import Asked, PairScore, TimedScores
from stages.core.scoring import score_each
from stages.core.vectors import VectorRows, distinct_texts
from stages.telemetry.cores import core_share, usable_cores

if TYPE_CHECKING:  # it brings the libraries that prompts are made with
    from serve_app.engine.exchange import Exchange
    from serve_app.engine.hosted import HostedEngine


class RerankReplica:
    """Hosts one engine, whose library is imported here, in the replica's process, after its environment is set.

    It has no `check_health`: Serve would call that on the event loop that computes (see `reporter`).
    """

    _at_work = 0  # calls with a batch

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        model: ModelInfo,
        model_settings: ModelSettings,
        engine: EngineSettings,
        application: str,
        replicas_here: int,
        max_text_chars: int,
        max_ongoing_queries: int,
        niceness: int = 0,
    ) -> None:
        self._places = asyncio.Semaphore(max_ongoing_queries)  # Serve's limit counts calls, and a call is a batch
        context = serve.get_replica_context()
        facts: dict[str, Any] = run_at(niceness)  # before the engine's process is started ahead
        _settle(context.rank.local_rank, replicas_here, engine.tensor_parallel)
        self._guard, self._name = die_together(), context.replica_tag
        began_s = time.time()
        from serve_app.engine.light_start import spawned_light
        from serve_app.engine.start_failure import telling_why
        from serve_app.engine.warm_start import warm_engine

        ahead = warm_engine() if engine.backend == "vllm" else contextlib.nullcontext()
        collector, actor = collector_of(application), ray.get_runtime_context().get_actor_name()
        tell = partial(_register, collector, context.replica_tag)
        with telling_why(), spawned_light(), telling_phases(lambda phase: tell(phase=phase)), ahead:
            facts |= {"process_id": os.getpid(), "began_s": began_s, "actor": actor, "phase": IMPORTS}
            # Before the engine starts: where it fails to, its process's log tells why.
            await collector.register.remote(context.replica_tag, facts)
            assigned = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
            kind, versions = load_engine(engine.backend, assigned)
            await collector.register.remote(context.replica_tag, versions | {"phase": CONFIGURES})
            begins = partial(_tell_identity, tell)
            self._engine = kind(model, model_settings, engine, context.replica_tag, max_text_chars, begins)
        facts |= versions | {"ready_s": time.time(), "identity": asdict(self._engine.identity), "phase": None}
        facts |= self._engine.facts()
        await collector.register.remote(context.replica_tag, facts)
        self._reporter = Reporter(context.replica_tag, self._engine, collector, facts, at_work=lambda: self._at_work)

    async def score_batch(self, batch: Sequence[Asked], identity: str | None = None) -> Columns:
        """Queries and their documents -> what comes of each. Cancelling the call frees its work in the engine.

        Raises IdentityError where `identity` is given, and is not the digest of this engine's.
        """
        self._require(identity)
        with self._working():
            return pack(await score_each(self._score, batch))

    async def score_with_vectors(
        self, batch: Sequence[Asked], identity: str | None, known: VectorRows, *, wanted: bool
    ) -> tuple[Columns, VectorRows]:
        """As `score_batch`, for a model that makes vectors: with those of documents that the caller knows, and, where
        `wanted`, back with those of the others, whose places count `distinct_texts`.
        """
        self._require(identity)
        from serve_app.engine.exchange import Exchange

        exchange = Exchange(known.by_key(), wanted=wanted)
        with self._working():
            outcomes = await score_each(partial(self._score, exchange=exchange), batch)
            return pack(outcomes), exchange.back(distinct_texts(batch))

    @contextlib.contextmanager
    def _working(self) -> Iterator[None]:
        """A batch's call: when the engine dies, what it has answered is still told."""
        self._at_work += 1
        try:
            yield
        finally:
            self._at_work -= 1

    async def _score(
        self, query: str, documents: Sequence[str], instruction: str | None, **more: Exchange
    ) -> list[PairScore]:
        async with self._places:
            return await self._engine.score(query, documents, instruction, **more)

    async def score_online(
        self,
        query: str,
        documents: Sequence[str],
        instruction: str | None,
        max_document_tokens: int | None,
        identity: str | None = None,
    ) -> TimedScores:
        """One query, ahead of all batch work, with where the time went."""
        self._require(identity)
        return await self._engine.score_timed(query, documents, instruction, max_document_tokens=max_document_tokens)

    async def tell(self) -> None:
        """Push what the engine has counted by now to the collector."""
        if reporter := getattr(self, "_reporter", None):
            await asyncio.to_thread(reporter.tell)

    async def identity(self) -> dict[str, Any]:
        """What decides this engine's scores, as `asdict` gives it."""
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


def _tell_identity(tell: Callable[..., None], identity: ScoringIdentity) -> None:
    tell(identity=asdict(identity), phase=BEGINS)


def _settle(rank: int, replicas_here: int, tensor_parallel: int) -> None:
    """The environment of an engine, before its library is imported."""
    places.settle()
    os.environ.pop("OMP_NUM_THREADS", None)  # Ray's, which counts CPUs to schedule, not to compute
    for name, value in cpu_environment(usable_cores(), rank, replicas_here, tensor_parallel, core_share()).items():
        os.environ.setdefault(name, value)


def load_engine(backend: Backend, gpus: Sequence[str]) -> tuple[Callable[..., HostedEngine], dict[str, str]]:
    """The class of engine, and the versions of what it computes with. Imports that, and nothing of the other's. `gpus`
    are those that the replica was given.
    """
    if backend == "transformers":
        if not gpus:  # Ray leaves in sight what it gave to nobody, or to others
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        from serve_app.engine import transformers_engine

        return transformers_engine.TransformersEngine, transformers_engine.VERSIONS
    from serve_app.engine import engine

    return engine.VllmEngine, engine.VERSIONS
