"""The HTTP service as a Serve application of its own, in front of an application of engines.

Two applications, so that a batch job and the service share the engines whichever came first, and each ends alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from ray import serve
from ray.exceptions import RayError

from serve_app.engine.text_limit import TextLimit
from serve_app.http.api import make_api
from serve_app.http.cascade import CascadeBackend, CascadeStage
from serve_app.http.metrics import ServiceMetrics
from serve_app.http.service import Service
from serve_app.http_settings import HttpSettings
from serve_app.replica.app import AppSettings, reranker_handle
from serve_app.replica.client import as_raised
from serve_app.replica.collector import collector_of
from serve_app.replica.exposition import labelled_exposition
from serve_app.replica.facts import engine_fact
from stages.core.cascade import cascade_name
from stages.core.identity import LISTWISE
from stages.core.records import TimedScores


class ServedBackend:
    """The engines of an application, through Serve's handle: calls go to the replica with the fewest. `registry` is
    this process's own; None: another backend tells it.
    """

    def __init__(self, settings: AppSettings, registry: CollectorRegistry | None, process: str) -> None:
        self._settings, self._registry, self._process = settings, registry, process
        self._limit = TextLimit(settings.deployment.max_text_chars)
        self._handle = reranker_handle(settings.name)
        self._collector = collector_of(settings.name)
        self._collector.expositions.remote()  # from now on the replicas send theirs

    async def score(
        self, query: str, documents: Sequence[str], instruction: str | None, max_document_tokens: int | None
    ) -> TimedScores:
        """Raises what the replica raised, and TextTooLongError before it is sent. Cancelling it cancels the call, which
        frees its work in the engine.
        """
        self._limit.require(query, documents, instruction)
        with as_raised():
            scores: TimedScores = await self._handle.score_online.remote(
                query, list(documents), instruction, max_document_tokens
            )
        return scores

    async def ready_replicas(self) -> int:
        """How many replicas reported a living engine just now. They are not called: a call would wait behind work."""
        try:
            alive: int = await self._collector.alive.remote()
        except RayError:
            return 0
        return alive

    async def expositions(self) -> list[str]:
        """The replicas' own texts and this process's."""
        own = [labelled_exposition(self._registry, self._process)] if self._registry else []
        try:
            for text in own:
                await self._collector.expose.remote(self._process, text)
            texts: list[str] = await self._collector.expositions.remote()
        except RayError:
            return own
        return texts

    async def facts(self) -> dict[str, Any]:
        """Model and engine settings as GET /v1/models shows them."""
        try:
            replicas = await self._collector.replicas.remote()
        except RayError:
            replicas = []
        # What the newest engine told; this application may have been given other settings than the engines.
        identity = engine_fact(replicas, "identity")
        told = identity or {"family": self._settings.model.family, "max_length": self._settings.model.max_length}
        return {
            "family": told["family"],
            "max_model_len": told["max_length"],
            "instruction": told.get("instruction"),
            "template": told.get("template"),
            "dtype": told.get("dtype"),
            "backend": self._settings.engine.backend if identity is None else told.get("backend"),
            "identity": identity,
            "replicas": self._settings.deployment.replicas,
        }


@dataclass(frozen=True, slots=True)
class Served:
    """One model that is served: of several each is a stage of a cascade, which scores the top `depth` of what the one
    before left (None: all).
    """

    settings: AppSettings
    depth: int | None = None


class Api:
    """The ingress replica: FastAPI in front of the engines' handles."""

    def __init__(self, several: Sequence[Served], limits: HttpSettings, key_digests: Sequence[str]) -> None:
        self._several, self._limits, self._key_digests = several, limits, key_digests

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Serve in the replica's process."""
        registry, process = CollectorRegistry(), serve.get_replica_context().replica_tag
        backends = [
            ServedBackend(one.settings, None if place else registry, process) for place, one in enumerate(self._several)
        ]
        models, metrics = [one.settings.model for one in self._several], ServiceMetrics(registry)
        if len(models) == 1:
            listwise = models[0].family == LISTWISE
            service = Service(backends[0], models[0].name, self._limits, metrics, listwise=listwise)
        else:
            stages = [
                CascadeStage(one.settings.model.name, backend, one.depth)
                for one, backend in zip(self._several, backends, strict=True)
            ]
            name = cascade_name([model.name for model in models])
            listwise = any(model.family == LISTWISE for model in models)
            most = self._several[-1].depth
            service = Service(CascadeBackend(stages), name, self._limits, metrics, listwise=listwise, most_pairs=most)
        return make_api(service, self._key_digests)


def ingress_name(several: Sequence[Served]) -> str:
    """Of the application in front of these."""
    if len(several) == 1:
        return f"{several[0].settings.name}-api"
    told = "\n".join(f"{one.settings.name} {one.depth}" for one in several)
    return f"rerank-cascade-{hashlib.sha256(told.encode()).hexdigest()[:12]}-api"


def build_ingress(settings: AppSettings, limits: HttpSettings, key_digests: Sequence[str]) -> serve.Application:
    """The service in front of the application that `settings` name."""
    return build_front([Served(settings)], limits, key_digests)


def build_front(several: Sequence[Served], limits: HttpSettings, key_digests: Sequence[str]) -> serve.Application:
    """The service in front of the application of one model, or of those of a cascade's stages."""
    deployment = several[0].settings.deployment
    hosted = serve.deployment(
        name="api",
        ray_actor_options={"num_cpus": 0},
        # Requests wait for an engine, not for this process: its own limit answers 429 long before Serve's would.
        max_ongoing_requests=2 * limits.max_waiting,
        # Serve's own limit is 30 s: what is not dead in an engine's place is not dead here.
        health_check_period_s=deployment.health_check_period_s,
        health_check_timeout_s=deployment.health_check_timeout_s,
    )(serve.ingress()(Api))
    bound: serve.Application = hosted.bind(list(several), limits, list(key_digests))
    return bound
