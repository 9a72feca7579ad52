"""The HTTP service: routes, errors, limits, keys. FastAPI over a Service; `ingress` hosts it on Ray Serve."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, TypeAlias, TypeVar

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from serve_app.http.api_input import authorize, parsed, read, while_connected
from serve_app.http.api_models import (
    ErrorDetail,
    ErrorResponse,
    RerankRequest,
    RerankResponse,
    ScoreRequest,
    ScoreResponse,
)
from serve_app.http.body import ENCODINGS
from serve_app.http.metrics import Endpoint
from serve_app.http.refusal import ClientGoneError, RefusalError
from serve_app.http.service import RETRY_AFTER_S, STARTING, RequestEnd, Service
from serve_app.replica.exposition import CONTENT_TYPE, merge_expositions

Body = TypeVar("Body", bound=BaseModel)
Answer = TypeVar("Answer", bound=BaseModel)
Work: TypeAlias = Coroutine[Any, Any, Answer]

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
    504: "timeout_error",
}
HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    408: {"Connection": "close"},  # else the rest of the body would be read for nobody
    415: {"Accept-Encoding": ", ".join(ENCODINGS)},
    429: {"Retry-After": str(RETRY_AFTER_S)},
    503: {"Retry-After": str(RETRY_AFTER_S)},
}
CLIENT_GONE = 499  # nobody reads it but a log


def make_api(service: Service, key_digests: Sequence[str]) -> FastAPI:
    """The application. `key_digests` are `key_digest` of the accepted API keys; none: no key is needed."""
    api = FastAPI(title="rerank-eval", version=version("rerank-eval"), description="Rerank documents for a query.")
    api.add_exception_handler(RefusalError, _refused)
    api.add_exception_handler(HTTPException, partial(_http_error, service))
    api.add_exception_handler(ClientGoneError, _client_gone)
    api.add_exception_handler(Exception, _failed)
    keyed = [Depends(HTTPBearer(auto_error=False))] if key_digests else []  # for the description; `authorize` checks
    _add_scoring(api, service, key_digests, keyed)

    @api.get("/v1/models", responses=_errors(401, 500, 503))
    async def models(request: Request) -> dict[str, Any]:
        """The served model; its settings and what decides its scores to whom the service answers, with a key."""
        facts: dict[str, Any] = {}
        told = not key_digests or "authorization" in request.headers
        if told:
            authorize(request, key_digests)
        if not await service.is_open():
            raise RefusalError(503, "not_ready", STARTING)
        if told:
            facts = await service.backend.facts()
        return {
            "object": "list",
            "data": [{"id": service.model, "object": "model", "owned_by": "rerank-eval", **facts}],
        }

    _add_operations(api, service)
    return api


def _add_scoring(api: FastAPI, service: Service, key_digests: Sequence[str], keyed: list[Any]) -> None:
    """The routes that ask the engines. Their bodies are read and parsed by us, within bounds."""
    limit = int(service.limits.max_body_mib * (1 << 20))

    async def answer(
        request: Request, kind: type[Body], endpoint: Endpoint, do: Callable[[Body, RequestEnd], Work[Answer]]
    ) -> Response:
        try:
            authorize(request, key_digests)
        except RefusalError as refusal:
            service.metrics.request_done(endpoint, "rejected", refusal.reason, 0.0, 0, 0)
            raise
        async with service.accepted(endpoint) as end:
            body = parsed(kind, await read(request, limit))
            end.body_read = True
            done = await while_connected(request, do(body, end))
        return Response(done.model_dump_json(exclude_none=True), media_type="application/json")

    for path in ("/v1/rerank", "/v2/rerank", "/rerank"):

        @api.post(
            path,
            **_documented(RerankRequest, RerankResponse),
            dependencies=keyed,
            include_in_schema=path == "/v1/rerank",
        )
        async def rerank(request: Request) -> Response:
            """Order documents by their relevance to a query."""
            return await answer(request, RerankRequest, "rerank", service.rerank)

    @api.post("/v1/score", **_documented(ScoreRequest, ScoreResponse), dependencies=keyed)
    async def score(request: Request) -> Response:
        """Score pairs of texts: 1 to 1, 1 to N, or N to N."""
        return await answer(request, ScoreRequest, "score", service.score)


def _add_operations(api: FastAPI, service: Service) -> None:
    """What operators and their tools ask; no key is needed, and no text of a request is shown."""

    @api.get("/health")
    async def health() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @api.get("/ready", responses=_errors(503))
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


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusalError)
    return _error(error.status, error.reason, error.message, error.param, HEADERS.get(error.status))


async def _http_error(service: Service, request: Request, error: Exception) -> JSONResponse:
    """An unknown path or method, in the same form as every other error; while the service starts, 503 is."""
    assert isinstance(error, HTTPException)
    if not await service.is_open():
        return await _refused(request, RefusalError(503, "not_ready", STARTING))
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    message = f"{error.detail}: {request.method} {request.scope['path']:.200}"
    return _error(error.status_code, code, message, None, dict(error.headers or {}))


async def _client_gone(_: Request, error: Exception) -> Response:
    del error
    return Response(status_code=CLIENT_GONE)


async def _failed(_: Request, error: Exception) -> JSONResponse:
    """What nobody foresaw. The server logs it; what it says may be no business of the client's."""
    del error
    return _error(500, "server_error", "the service failed; its log says why", None, None)


def _error(status: int, code: str, message: str, param: str | None, headers: dict[str, str] | None) -> JSONResponse:
    detail = ErrorDetail(message=message, type=TYPES.get(status, "server_error"), param=param, code=code)
    return JSONResponse(ErrorResponse(error=detail).model_dump(), status_code=status, headers=headers)


def _documented(body: type[BaseModel], answer: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI description of a route whose body is parsed by us."""
    schema = body.model_json_schema(ref_template="#/components/schemas/{model}", by_alias=False)
    schema.pop("$defs", None)  # the answers bring the same models into the document
    content = {"application/json": {"schema": schema}}
    return {
        "openapi_extra": {"requestBody": {"required": True, "content": content}},
        "responses": {200: {"model": answer}, **_errors(400, 401, 404, 408, 413, 415, 422, 429, 500, 503, 504)},
    }


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorResponse} for status in statuses}
