"""Addresses as clients write them -> those of our routes: slashes too many, HEAD, and a shape named in front."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

NAMED = "serve_app.shape"  # in a request's scope: the shape that its address names


class Paths:
    """`//v1/rerank/` is `/v1/rerank`: many clients join addresses so, and do not follow a redirect with a body.
    `/NAME/v1/rerank` is that in the shape NAME, and `/NAME` is `/`, unless it is one of `paths` by itself. HEAD is GET
    without the body.
    """

    def __init__(self, app: App, shapes: Collection[str], paths: Collection[str]) -> None:
        self._app, self._shapes, self._paths = app, frozenset(shapes), frozenset(paths)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        root, path = scope.get("root_path", ""), within_root(scope)
        first, _, rest = path[1:].partition("/")
        if first in self._shapes and (rest or path not in self._paths):
            path, scope = f"/{rest}", {**scope, NAMED: first}
        scope = {**scope, "path": root + path}
        if scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, without_body)


def within_root(scope: Message) -> str:
    """A request's path below the one that the application is mounted at, with single slashes."""
    path: str = re.sub("/{2,}", "/", scope["path"].removeprefix(scope.get("root_path", ""))).rstrip("/")
    return path or "/"
