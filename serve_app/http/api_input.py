"""What comes in over HTTP: API keys, bodies within bounds, clients that leave."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from serve_app.http.body import too_large, unpacker_for
from serve_app.http.refusal import ClientGoneError, RefusalError

Body = TypeVar("Body", bound=BaseModel)
Answer = TypeVar("Answer")


def key_digest(key: str) -> str:
    """What is kept of an API key: its SHA-256, in hex."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def authorize(request: Request, key_digests: Sequence[str]) -> None:
    """Every key is compared, each in constant time: how long it takes tells nothing."""
    if not key_digests:
        return
    header = request.headers.get("authorization", "").encode("latin-1").decode("utf-8", "surrogateescape")
    scheme, _, key = header.partition(" ")
    given = key_digest(key.strip())
    known = [hmac.compare_digest(given, digest) for digest in key_digests]
    if scheme.lower() != "bearer" or not any(known):
        raise RefusalError(401, "unauthorized", "give an API key: Authorization: Bearer KEY")


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


def parsed(kind: type[Body], content: bytes) -> Body:
    """Parsed by pydantic's own parser, which bounds nesting and refuses lone surrogates and what is no JSON."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise _malformed(kind, error) from error


def _malformed(kind: type[BaseModel], error: ValidationError) -> RefusalError:
    """All that is wrong with the body; `param` is the first place."""
    names = {*kind.model_fields, "docs", "text"}  # what else is in a `loc` are pydantic's names of types
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    places = [".".join(str(part) for part in one["loc"] if part in names or isinstance(part, int)) for one in faults]
    messages = [f"{place}: {one['msg']}" if place else one["msg"] for place, one in zip(places, faults, strict=True)]
    status = 400 if faults[0]["type"] == "json_invalid" else 422
    return RefusalError(status, "bad_request", "; ".join(messages), places[0] or None)
