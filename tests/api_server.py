"""The real HTTP service over a stand-in for the engines, on a free loopback port: no Ray, no engine."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import httpx
import uvicorn
from prometheus_client import CollectorRegistry

from serve_app.http.api import make_api
from serve_app.http.api_input import key_digest
from serve_app.http.metrics import EndKind, Endpoint, Reason, ServiceMetrics
from serve_app.http.service import Backend, Service
from serve_app.http_settings import HttpSettings
from serve_app.replica.exposition import labelled_exposition
from stages.core.records import TimedScores
from stages.core.scoring import OverlapScorer

MODEL = "overlap"
# For what comes within a moment, unless the machine is busy.
PATIENCE_S = 60.0
DOCUMENTS = ["a fox", "the red fox", "a dog"]
BODY: dict[str, Any] = {"query": "red fox", "documents": DOCUMENTS}


class Call(NamedTuple):
    """What a backend was asked."""

    query: str
    documents: list[str]
    instruction: str | None
    max_document_tokens: int | None


@dataclass
class StandInBackend:
    """A `service.Backend` over the OverlapScorer.

    A call waits `delay_s`, and as long as it is `held`, then raises the next of `failures`, if any are left, then
    answers. A document is cut to `max_document_tokens` words; in as many passages as `passages` says of its text it is
    read. `calls` holds all that was asked, `cancelled` what was
    cancelled meanwhile.
    """

    delay_s: float = 0.0
    held: bool = False
    failures: list[Exception] = field(default_factory=list)
    ready: int = 1
    passages: dict[str, int] = field(default_factory=dict)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    calls: list[Call] = field(default_factory=list)
    cancelled: list[Call] = field(default_factory=list)

    async def score(
        self, query: str, documents: Sequence[str], instruction: str | None, max_document_tokens: int | None
    ) -> TimedScores:
        call = Call(query, list(documents), instruction, max_document_tokens)
        self.calls.append(call)
        try:
            await asyncio.sleep(self.delay_s)
            while self.held:
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.cancelled.append(call)
            raise
        if self.failures:
            raise self.failures.pop(0)
        words = [document.split() for document in documents]
        kept = [" ".join(some[:max_document_tokens]) for some in words]
        pairs = await OverlapScorer().score(query, kept, instruction)
        limit = max_document_tokens or float("inf")
        cut = [replace(pair, truncated=len(some) > limit) for pair, some in zip(pairs, words, strict=True)]
        read = [replace(pair, passages=self.passages.get(one, 1)) for pair, one in zip(cut, documents, strict=True)]
        return TimedScores(read, tokenize_ms=1.0, queue_ms=2.0, engine_ms=3.0)

    async def ready_replicas(self) -> int:
        return self.ready

    async def expositions(self) -> list[str]:
        return [labelled_exposition(self.registry, "stand-in")]

    async def facts(self) -> dict[str, Any]:
        return {"family": MODEL, "max_model_len": 512, "replicas": self.ready}


def make_service(
    backend: Backend | None = None, *, listwise: bool = False, most_pairs: int | None = None, **limits: Any
) -> Service:
    """The real Service over a stand-in; `limits` are fields of HttpSettings."""
    backend = backend or StandInBackend()
    registry = backend.registry if isinstance(backend, StandInBackend) else CollectorRegistry()
    metrics = ServiceMetrics(registry)
    return Service(backend, MODEL, HttpSettings(**limits), metrics, listwise=listwise, most_pairs=most_pairs)


@dataclass(frozen=True)
class RunningApi:
    """A service that listens, and a client of it."""

    service: Service
    client: httpx.Client
    port: int

    @property
    def backend(self) -> StandInBackend:
        assert isinstance(self.service.backend, StandInBackend)
        return self.service.backend

    def renew(self) -> None:
        """Go on with a fresh stand-in, and counters at zero: a server for each test would take longer."""
        self.service.backend = StandInBackend()
        self.service.metrics = ServiceMetrics(self.backend.registry)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ended(self, outcome: EndKind, reason: Reason, endpoint: Endpoint = "rerank") -> float:
        """How many requests ended that way."""
        return ended(self.backend.registry, outcome, reason, endpoint)


def ended(registry: CollectorRegistry, outcome: EndKind, reason: Reason, endpoint: Endpoint = "rerank") -> float:
    """How many requests ended that way. AssertionError where nobody counts such ends."""
    labels: dict[str, str] = {"endpoint": endpoint, "outcome": outcome, "reason": reason}
    count = registry.get_sample_value("rerank_requests_total", labels)
    assert count is not None, f"no series {labels}"
    return count


class _Server(uvicorn.Server):
    async def main_loop(self) -> None:
        """As uvicorn's own, which looks only ten times a second whether it shall stop."""
        while not await self.on_tick(0):
            await asyncio.sleep(0.005)


@contextlib.contextmanager
def running_api(
    backend: StandInBackend | None = None, keys: Sequence[str] = (), log_level: str = "critical", **limits: Any
) -> Iterator[RunningApi]:
    """The service under uvicorn, in a thread; gone at the end. `limits` are fields of HttpSettings.

    The server logs through the loggers that are, without handlers of its own: `caplog` sees it all.
    """
    service = make_service(backend, **limits)
    api = make_api(service, [key_digest(key) for key in keys])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        config = uvicorn.Config(api, log_level=log_level, log_config=None, timeout_graceful_shutdown=1)
        server = _Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until(lambda: server.started)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=PATIENCE_S) as client:
                yield RunningApi(service, client, port)
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "the server does not stop"


def until(condition: Any, timeout_s: float = PATIENCE_S) -> None:
    """Wait for a condition. AssertionError where it does not come true."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s"
        time.sleep(0.005)


def refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The error of an answer, which has the one form of all errors."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"error", "message", "detail"}
    error: dict[str, Any] = answer.json()["error"]
    assert answer.json()["message"] == answer.json()["detail"] == error["message"], "some clients read but one of them"
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return error


def indices(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [result["index"] for result in answer.json()["results"]]
