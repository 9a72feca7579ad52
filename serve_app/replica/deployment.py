"""The Serve replica: an actor that hosts one engine, answers queries and pushes its counts to the collector."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Sequence
from dataclasses import replace

import ray.util
from prometheus_client import REGISTRY
from ray import serve

from serve_app.engine.engine_args import cpu_environment
from serve_app.engine.models import ModelInfo
from serve_app.engine.orphans import die_together
from serve_app.replica.collector import EXPOSE_EVERY_S, PUSH_EVERY_S, collector_of
from serve_app.replica.exposition import labelled_exposition
from serve_app.replica.node_metrics import this_node
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.records import PairScore, TimedScores


class RerankReplica:
    """Hosts one engine. vLLM is imported here, in the replica's process, after its environment is set."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        model: ModelInfo,
        model_settings: ModelSettings,
        engine: EngineSettings,
        application: str,
        replicas_here: int,
    ) -> None:
        context = serve.get_replica_context()
        environment = cpu_environment(_cores(), context.rank.local_rank, replicas_here, engine.tensor_parallel)
        os.environ.pop("OMP_NUM_THREADS", None)  # Ray's, which counts CPUs to schedule, not to compute
        for name, value in environment.items():
            os.environ.setdefault(name, value)
        self._guard = die_together()
        self._name = context.replica_tag
        self._collector = collector_of(application)
        # Before the engine starts: where it fails to, its process's log tells why.
        await self._collector.register.remote(context.replica_tag, {"process_id": os.getpid()})
        from serve_app.engine.light_start import spawned_light

        with spawned_light():
            from serve_app.engine.engine import VLLM_VERSION, VllmEngine

            await self._collector.register.remote(context.replica_tag, {"vllm": VLLM_VERSION})
            self._engine = VllmEngine(model, model_settings, engine, context.replica_tag)
        await self._collector.register.remote(context.replica_tag, self._engine.facts())
        self._pushing = asyncio.create_task(self._push_forever())

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        """One query and its documents -> one PairScore each. Cancelling the call frees its work in the engine."""
        return await self._engine.score(query, documents, instruction)

    async def score_online(
        self, query: str, documents: Sequence[str], instruction: str | None, max_document_tokens: int | None
    ) -> TimedScores:
        """As `score`, ahead of all batch work, with where the time went."""
        return await self._engine.score_timed(query, documents, instruction, max_document_tokens=max_document_tokens)

    async def check_health(self) -> None:
        """Called by Serve: a replica whose engine died is replaced."""
        await self._engine.check_health()

    async def _push_forever(self) -> None:
        """While the engine lives: a replica that pushes no more is not ready."""
        node = this_node(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
        for turn in itertools.count():
            await self._engine.check_health()
            await self._collector.push.remote(replace(self._engine.stats.snapshot(), node_sample=node.sample()))
            if turn % round(EXPOSE_EVERY_S / PUSH_EVERY_S) == 0:
                await self._collector.expose.remote(self._name, labelled_exposition(REGISTRY, self._name))
            await asyncio.sleep(PUSH_EVERY_S)

    def __del__(self) -> None:
        if engine := getattr(self, "_engine", None):
            engine.shutdown()


def _cores() -> set[int]:
    """The processor cores that this process may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
