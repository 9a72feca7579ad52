"""The HTTP service as a Serve application of its own, in front of an application of engines.

Two applications, so that a batch job and the service share the engines whichever came first, and each ends alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from ray import serve
from ray.exceptions import RayError

from serve_app.engine.text_limit import TextLimit
from serve_app.http.api import make_api
from serve_app.http.metrics import ServiceMetrics
from serve_app.http.service import Service
from serve_app.http_settings import HttpSettings
from serve_app.replica.app import AppSettings, reranker_handle
from serve_app.replica.client import as_raised
from serve_app.replica.collector import collector_of
from serve_app.replica.exposition import labelled_exposition
from serve_app.replica.facts import engine_fact
from stages.core.identity import LISTWISE
from stages.core.records import TimedScores


class ServedBackend:
    """The engines of an application, through Serve's handle: calls go to the replica with the fewest."""

    def __init__(self, settings: AppSettings, registry: CollectorRegistry, process: str) -> None:
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
        own = labelled_exposition(self._registry, self._process)
        try:
            await self._collector.expose.remote(self._process, own)
            texts: list[str] = await self._collector.expositions.remote()
        except RayError:
            return [own]
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


class Api:
    """The ingress replica: FastAPI in front of the engines' handle."""

    def __init__(self, settings: AppSettings, limits: HttpSettings, key_digests: Sequence[str]) -> None:
        self._settings, self._limits, self._key_digests = settings, limits, key_digests

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Serve in the replica's process."""
        registry = CollectorRegistry()
        backend = ServedBackend(self._settings, registry, serve.get_replica_context().replica_tag)
        model = self._settings.model
        listwise = model.family == LISTWISE
        service = Service(backend, model.name, self._limits, ServiceMetrics(registry), listwise=listwise)
        return make_api(service, self._key_digests)


def build_ingress(settings: AppSettings, limits: HttpSettings, key_digests: Sequence[str]) -> serve.Application:
    """The service in front of the application that `settings` name."""
    hosted = serve.deployment(
        name="api",
        ray_actor_options={"num_cpus": 0},
        # Requests wait for an engine, not for this process: its own limit answers 429 long before Serve's would.
        max_ongoing_requests=2 * limits.max_waiting,
        # Serve's own limit is 30 s: what is not dead in an engine's place is not dead here.
        health_check_period_s=settings.deployment.health_check_period_s,
        health_check_timeout_s=settings.deployment.health_check_timeout_s,
    )(serve.ingress()(Api))
    bound: serve.Application = hosted.bind(settings, limits, list(key_digests))
    return bound
