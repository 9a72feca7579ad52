"""What comes in over HTTP: API keys, bodies within bounds, clients that leave."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from serve_app.http.body import too_large, unpacker_for
from serve_app.http.refusal import ClientGoneError, RefusalError

KEY_HEADERS = ("authorization", "x-api-key", "api-key")
Answer = TypeVar("Answer")


def key_digest(key: str) -> str:
    """What is kept of an API key: its SHA-256, in hex."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def authorize(request: Request, key_digests: Sequence[str]) -> None:
    """Every key is compared, each in constant time: how long it takes tells nothing."""
    if not key_digests:
        return
    given = [key_digest(key) for key in _keys(request)]
    known = [hmac.compare_digest(one, digest) for one in given for digest in key_digests]
    if not any(known):
        raise RefusalError(401, "unauthorized", "give an API key: Authorization: Bearer KEY")


def gives_key(request: Request) -> bool:
    """Whether the request has a key, right or wrong."""
    return any(name in request.headers for name in KEY_HEADERS)


def _keys(request: Request) -> list[str]:
    """As clients send them: behind Bearer, bare, or in a header of their own. Basic and the like are other things."""
    keys = []
    for name in KEY_HEADERS:
        header = request.headers.get(name, "").encode("latin-1").decode("utf-8", "surrogateescape").strip()
        scheme, _, key = header.partition(" ")
        if not key:
            keys.append(header)
        elif name == "authorization" and scheme.lower() == "bearer":
            keys.append(key.strip())
    return [key for key in keys if key]


async def read(request: Request, limit: int) -> bytes:
    """The body, unpacked where its Content-Encoding says that it is packed: at most `limit` bytes, of which no more are
    ever held. Raises RefusalError, and ClientGoneError where the client leaves before the body is complete.
    """
    unpacker = unpacker_for(request.headers.getlist("content-encoding"), limit)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large(limit)
    chunks, sent = [], 0
    try:
        async for chunk in request.stream():
            sent += len(chunk)
            if sent > limit:
                raise too_large(limit)
            # In a thread: a small chunk may hold many bytes, and others wait for the event loop.
            unpacked = await asyncio.to_thread(unpacker.feed, chunk) if unpacker else chunk
            chunks.append(unpacked)
    except ClientDisconnect as error:
        raise ClientGoneError from error
    if unpacker:
        unpacker.check_complete()
    return b"".join(chunks)


async def while_connected(request: Request, work: Coroutine[Any, Any, Answer]) -> Answer:
    """What the work gives. It is cancelled, and ClientGoneError raised, when the client goes away: not every server
    does that for us, and the engine would score for nobody.
    """
    task, gone = asyncio.create_task(work), asyncio.create_task(_gone(request))
    gone.add_done_callback(lambda _: task.cancel())
    try:
        return await task
    except asyncio.CancelledError as error:
        if gone.done():
            raise ClientGoneError from error
        raise
    finally:
        gone.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
