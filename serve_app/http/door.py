"""Ray Serve's HTTP proxy, started so that a client is told nothing wrong while the service is not there.

The proxy knows only routes: before the service's is known to it, and once it is gone, it answers 404 in plain text,
which clients take for an unknown model. `Door` stands before it, in its process, and says 503 in the form of all our
errors.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from ray import serve
from starlette.middleware import Middleware

from serve_app.http.metrics import Reason
from serve_app.http.refusal import RefusalError
from serve_app.http.shapes.fill import error_body
from serve_app.http.shapes.request import default_shape

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

# Read by Serve's controller and its proxies (ray/serve/_private/constants.py). Their own limits are 10 and 5 s: on a
# busy machine a healthy proxy takes longer, and would be replaced with all that it has at work.
PROXY = {
    "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
    "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "serve_app.http.door.middlewares",
}
NO_ROUTE = b"Ping http://.../-/routes for available routes."
CLOSED = "the service is starting or stopping: try again later"
LOST = "the service lost this request, as a part of it restarts: try again"
LATE = "no result within the time that the request itself set as its limit"


def start_serve(host: str, port: int) -> None:
    """Start Ray Serve, with its HTTP proxy behind the door. Where Serve runs already it stays as it is."""
    environment = {name: os.environ.get(name, value) for name, value in PROXY.items()}
    serve.start(
        http_options={"host": host, "port": port},
        proxy_location="HeadOnly",
        controller_options={"runtime_env": {"env_vars": environment}},
    )


def middlewares() -> list[Middleware]:
    """Called by Serve in its proxy's process."""
    return [Middleware(Door)]


class Door:
    """Passes everything through, but for what the proxy says itself in place of an application: that becomes 503."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/-/"):  # these are the proxy's own
            await self._app(scope, receive, send)
            return
        answer = _Answer(send, scope["path"])
        await self._app(scope, receive, answer.send)
        if not answer.began:  # what the proxy asked died under the request: uvicorn would say 500, in plain text
            await answer.refuse(LOST)


class _Answer:
    """What is sent of one answer."""

    def __init__(self, send: Send, path: str) -> None:
        self._send, self._path = send, path
        self._held: Message | None = None
        self._refused = False
        self.began = False

    async def send(self, message: Message) -> None:
        if self._refused:
            return
        if message["type"] == "http.response.start" and _may_be_the_proxys(message):
            self._held = message
            return
        if self._held is not None:
            held, self._held = self._held, None
            if held["status"] == 408:
                await self.refuse(LATE, 408, "timeout")
                return
            if held["status"] == 503 or message.get("body", b"").endswith(NO_ROUTE):
                await self.refuse(LOST if held["status"] == 503 else CLOSED)
                return
            await self._send(held)
        self.began = True
        await self._send(message)

    async def refuse(self, words: str, status: int = 503, reason: Reason = "not_ready") -> None:
        self.began = self._refused = True
        refusal = RefusalError(status, reason, words)
        body = json.dumps(error_body(default_shape(self._path), refusal)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers += [(b"retry-after", b"1")] if status == 503 else []
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})


def _may_be_the_proxys(start: Message) -> bool:
    """The proxy's own errors are plain text; all of ours are JSON."""
    types = [value for name, value in start["headers"] if bytes(name).lower() == b"content-type"]
    return start["status"] in (404, 408, 503) and types[:1] == [b"text/plain; charset=utf-8"]
