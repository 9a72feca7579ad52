"""The load test's HTTP client: a request to /v1/rerank -> what became of it. Nothing is raised, nothing sent twice."""

from __future__ import annotations

import errno
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import aiohttp

from pipelines.service.load.payload_shape import Payload
from pipelines.service.target import Target

MOST_OUTSTANDING = 512
"""Requests at once, and so connections."""
# Shorter than servers' own (uvicorn's is 5 s): a connection that the server is about to close is not used again.
KEEP_ALIVE_S = 4.0
# Found in the bytes, since reading a whole answer takes the client longer. Inside a text the quotes would be escaped.
_TOKENS = re.compile(rb'"prompt_tokens"\s*:\s*(\d+)')


class Reply(NamedTuple):
    """To a request: `error` is the kind of failure, None for HTTP 200; `content` is its body, if it has one."""

    error: str | None
    content: bytes = b""

    @property
    def prompt_tokens(self) -> int | None:
        """None where the answer does not tell."""
        found = _TOKENS.search(self.content)
        return int(found[1]) if found else None


Send = Callable[[Payload], Coroutine[Any, Any, Reply]]


@asynccontextmanager
async def sender(target: Target, timeout_s: float) -> AsyncIterator[Send]:
    """A function that sends, over connections that stay open; gone with its connections at the end."""
    url = f"{target.url}/v1/rerank"
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MOST_OUTSTANDING, keepalive_timeout=KEEP_ALIVE_S),
        timeout=aiohttp.ClientTimeout(total=timeout_s),
        headers={**target.headers, "Content-Type": "application/json"},
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,  # straight to it: a proxy of the environment is not what is measured
    ) as session:

        async def send(payload: Payload) -> Reply:
            try:
                async with session.post(url, data=payload.body, allow_redirects=False) as answer:
                    content = await answer.read()
            except (aiohttp.ClientError, OSError) as error:
                return Reply(error_kind(error))
            return Reply(None if answer.status == 200 else f"HTTP {answer.status}", content)

        yield send


def error_kind(error: Exception) -> str:
    """The name under which a failure is counted."""
    match error:
        case TimeoutError():
            return "timeout"
        case aiohttp.ClientConnectorDNSError():
            return "unknown host"
        case aiohttp.ClientConnectorError(os_error=ConnectionRefusedError()):
            return "connection refused"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError() | ConnectionError():
            return "connection reset"
        case OSError(errno=errno.ECONNRESET | errno.EPIPE):
            return "connection reset"
        case _:
            return f"connection ({type(error).__name__})"
