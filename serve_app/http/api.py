"""The HTTP service: routes, limits, keys. FastAPI over a Service; `ingress` hosts it on Ray Serve."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from fastapi.security import HTTPBearer
from pydantic_core import to_json
from starlette.middleware.cors import CORSMiddleware

from serve_app.http.api_errors import add_error_handlers
from serve_app.http.api_facts import add_facts
from serve_app.http.api_input import authorize, read, while_connected
from serve_app.http.docs_page import PAGE
from serve_app.http.metrics import Endpoint
from serve_app.http.paths import NAMED, Paths
from serve_app.http.refusal import RefusalError
from serve_app.http.service import Service
from serve_app.http.shapes.describe import described, errors
from serve_app.http.shapes.fill import answer_body
from serve_app.http.shapes.request import AT_PATH, BY_NAME, parsed, shape_of, wanted
from serve_app.http.shapes.shape import Shape
from serve_app.replica.exposition import CONTENT_TYPE, merge_expositions


def make_api(service: Service, key_digests: Sequence[str]) -> FastAPI:
    """The application. `key_digests` are `key_digest` of the accepted API keys; none: no key is needed."""
    api = FastAPI(
        title="rerank-eval",
        version=version("rerank-eval"),
        description="Rerank documents for a query.",
        docs_url=None,  # FastAPI's pages load their scripts from elsewhere
        redoc_url=None,
    )
    add_error_handlers(api, service)
    api.add_middleware(Paths, shapes=BY_NAME, paths=AT_PATH)
    if service.limits.cors_origins:
        api.add_middleware(
            CORSMiddleware,
            allow_origins=service.limits.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["Retry-After"],
        )
    keyed = [Depends(HTTPBearer(auto_error=False))] if key_digests else []  # for the description; `authorize` checks
    for path, shapes in AT_PATH.items():
        _add_scoring(api, service, key_digests, path, shapes, dependencies=keyed)
    add_facts(api, service, key_digests)
    _add_operations(api, service)
    return api


def _add_scoring(
    api: FastAPI, service: Service, key_digests: Sequence[str], path: str, shapes: Sequence[Shape], **more: Any
) -> None:
    """A route that asks the engines. Its body is read and parsed by us, within bounds."""
    limit = int(service.limits.max_body_mib * (1 << 20))
    endpoint: Endpoint = "score" if shapes[-1].of_pairs else "rerank"

    @api.post(path, **described(path, shapes), **more)
    async def score(request: Request) -> Response:
        named = BY_NAME.get(request.scope.get(NAMED, ""))
        among = [named] if named and named.of_pairs == shapes[-1].of_pairs else shapes
        request.state.shape = among[-1]
        try:
            authorize(request, key_digests)
        except RefusalError as refusal:
            service.metrics.request_done(endpoint, "rejected", refusal.reason, 0.0, 0, 0)
            raise
        async with service.accepted(endpoint) as end:
            body = parsed(await read(request, limit))
            end.body_read = True
            shape = request.state.shape = shape_of(among, body, request.headers)
            asked = wanted(shape, body, request.path_params.get("model") if "model" not in shape.names else None)
            done = await while_connected(request, service.answer(asked.request, end))
            answer = answer_body(shape, asked, done, echo=_echoes(service, shape, asked.return_documents))
        # A document that comes back may hold 1e400, or what Python writes and JSON does not have: NaN.
        return Response(to_json(answer, inf_nan_mode="null"), media_type="application/json")


def _echoes(service: Service, shape: Shape, asked: bool | None) -> bool:
    """Whether results hold their documents: as the request says, or the operator, or the API."""
    said = asked if asked is not None else service.limits.return_documents
    return shape.returns_documents if said is None or "return_documents" not in shape.names else said


def _add_operations(api: FastAPI, service: Service) -> None:
    """What operators and their tools ask; no key is needed, and no text of a request is shown."""

    @api.get("/health")
    @api.get("/ping", include_in_schema=False)
    async def health() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @api.get("/ready", responses=errors(503))
    async def ready() -> dict[str, Any]:
        """At least one engine answers."""
        replicas = await service.backend.ready_replicas()
        service.metrics.ready_replicas(replicas)
        if not replicas:
            raise RefusalError(503, "not_ready", "no engine answers: one is starting, or it died")
        return {"status": "ready", "replicas": replicas}

    @api.get("/version")
    async def versions() -> dict[str, str]:
        """Versions of this service."""
        return {"version": version("rerank-eval")}

    @api.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Prometheus metrics of every process of the service, told apart by `replica`."""
        service.metrics.ready_replicas(await service.backend.ready_replicas())
        return Response(merge_expositions(await service.backend.expositions()), media_type=CONTENT_TYPE)

    @api.get("/", response_class=HTMLResponse)
    @api.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    async def docs() -> str:
        """This description for people, which loads nothing from elsewhere."""
        return PAGE
