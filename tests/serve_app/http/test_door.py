"""In front of Serve's proxy: what it says in place of the service becomes 503, everything else passes unchanged."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from ray.serve._private.http_util import convert_object_to_asgi_messages

from serve_app.http.door import NO_ROUTE, Door, Message, middlewares

UNKNOWN = "Path '/v1/rerank' not found. " + NO_ROUTE.decode()


def through(messages: list[Any], path: str = "/v1/rerank") -> list[Message]:
    """What a client is sent where the proxy sends `messages`."""
    sent: list[Message] = []

    async def proxy(_scope: Message, _receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nobody asks")

    asyncio.run(Door(proxy)({"type": "http", "path": path}, receive, send))
    return sent


def refused(sent: list[Message]) -> tuple[int, dict[str, Any], dict[bytes, bytes]]:
    start, body = sent
    headers = dict(start["headers"])
    assert headers[b"content-type"] == b"application/json"
    assert int(headers[b"content-length"]) == len(body["body"])
    return start["status"], json.loads(body["body"])["error"], headers


def test_no_route_yet_or_no_more_is_503_in_our_form() -> None:
    status, error, headers = refused(through(convert_object_to_asgi_messages(UNKNOWN, status_code=404)))
    assert (status, error["code"], error["type"]) == (503, "not_ready", "server_error")
    assert "starting or stopping" in error["message"]
    assert int(headers[b"retry-after"]) > 0


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        (convert_object_to_asgi_messages("Deployment 'api' in app 'rerank-1' is unavailable", status_code=503), 503),
        (convert_object_to_asgi_messages("Request 1f2e timed out after 0.1s.", status_code=408), 408),
        ([], 503),
    ],
    ids=["unavailable", "late", "died"],
)
def test_what_the_proxy_says_of_its_inside_is_told_in_our_words(messages: list[Any], status: int) -> None:
    told, error, _ = refused(through(messages))
    assert told == status
    for word in ("rerank-1", "1f2e", "Deployment"):
        assert word not in str(error)


@pytest.mark.parametrize(
    "messages",
    [
        convert_object_to_asgi_messages({"error": {"code": "unknown_model"}}, status_code=404),
        convert_object_to_asgi_messages("no such page", status_code=404),
        convert_object_to_asgi_messages({"error": {"code": "not_ready"}}, status_code=503),
        convert_object_to_asgi_messages("rerank_requests_total 1"),
        [
            *convert_object_to_asgi_messages({"a": 1})[:1],
            {"type": "http.response.body", "body": b"{", "more_body": True},
        ],
    ],
)
def test_an_answer_of_an_application_passes_as_it_is(messages: list[Any]) -> None:
    assert through(messages) == messages


def test_what_the_proxy_says_of_itself_passes_as_it_is() -> None:
    messages = convert_object_to_asgi_messages("no routes", status_code=503)
    assert through(messages, "/-/healthz") == messages


def test_serve_takes_it_for_what_it_wants() -> None:
    from ray.serve._private.http_util import validate_http_proxy_callback_return
    from ray.serve._private.utils import call_function_from_import_path

    from serve_app.http.door import PROXY

    path = PROXY["RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"]
    (only,) = validate_http_proxy_callback_return(call_function_from_import_path(path))
    assert only.cls is Door
    assert [one.cls for one in middlewares()] == [Door]
