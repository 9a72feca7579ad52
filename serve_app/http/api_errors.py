"""Errors of the HTTP service as answers, each in the form of the shape that its request has."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from serve_app.http.body import ENCODINGS
from serve_app.http.metrics import Reason
from serve_app.http.paths import NAMED, within_root
from serve_app.http.refusal import ClientGoneError, RefusalError
from serve_app.http.service import RETRY_AFTER_S, STARTING, Service
from serve_app.http.shapes.fill import error_body
from serve_app.http.shapes.request import BY_NAME, default_shape

HEADERS = {
    401: {"WWW-Authenticate": "Bearer"},
    408: {"Connection": "close"},  # else the rest of the body would be read for nobody
    415: {"Accept-Encoding": ", ".join(ENCODINGS)},
    429: {"Retry-After": str(RETRY_AFTER_S)},
    503: {"Retry-After": str(RETRY_AFTER_S)},
}
CLIENT_GONE = 499  # nobody reads it but a log


def add_error_handlers(api: FastAPI, service: Service) -> None:
    """Whatever is raised in a route becomes an answer."""
    api.add_exception_handler(RefusalError, _refused)
    api.add_exception_handler(HTTPException, partial(_http_error, service))
    api.add_exception_handler(ClientGoneError, _client_gone)
    api.add_exception_handler(Exception, _failed)


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RefusalError)
    return _answer(request, error, HEADERS.get(error.status))


async def _http_error(service: Service, request: Request, error: Exception) -> JSONResponse:
    """An unknown path or method, in the same form as every other error; while the service starts, 503 is."""
    assert isinstance(error, HTTPException)
    if not await service.is_open():
        return await _refused(request, RefusalError(503, "not_ready", STARTING))
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
    message = f"{error.detail}: {request.method} {request.scope['path']:.200}"
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request))
    return _answer(request, RefusalError(error.status_code, cast("Reason", code), message), headers)


def _methods(request: Request) -> list[str]:
    """What a path takes; a route alone knows only of itself."""
    routes = [
        one for one in request.app.routes if isinstance(one, Route) and one.matches(request.scope)[0] != Match.NONE
    ]
    return sorted({method for route in routes for method in route.methods or ()})


async def _client_gone(_: Request, error: Exception) -> Response:
    del error
    return Response(status_code=CLIENT_GONE)


async def _failed(request: Request, error: Exception) -> JSONResponse:
    """What nobody foresaw. The server logs it; what it says may be no business of the client's."""
    del error
    return _answer(
        request, RefusalError(500, cast("Reason", "server_error"), "the service failed; its log says why"), None
    )


def _answer(request: Request, refusal: RefusalError, headers: dict[str, Any] | None) -> JSONResponse:
    named = BY_NAME.get(request.scope.get(NAMED, "")) or default_shape(within_root(request.scope))
    body = error_body(getattr(request.state, "shape", named), refusal)
    return JSONResponse(body, status_code=refusal.status, headers=headers)
