"""Stubs of the rerank APIs of others, each made from its public documentation, over the OverlapScorer; with faults.

Bare asyncio, as no server framework lets an answer be cut short. Nothing here is shared with what asks them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from stages.core.scoring import OverlapScorer, Scorer


@dataclass(frozen=True)
class Fault:
    """What a request gets instead of an answer: a status with headers and a body, or a broken connection.

    `cut`: the answer breaks off in the midst. `dropped`: there is none. `spoilt` changes the content of a good answer,
    `packed` its bytes; `drip_s` is what stands between two bytes of the body.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    dropped: bool = False
    cut: bool = False
    spoilt: Callable[[Any], Any] | None = None
    packed: Callable[[bytes], bytes] | None = None
    drip_s: float = 0.0


@dataclass
class StubApi:
    """One API at `url`. Each request takes the first of `faults`, if there is one. `scorer` is what scores.

    `asked` holds (query, documents) of each request that was answered, `tries` counts all, `arrivals_s` is when they
    came, `keys` what authorized them. More documents than `most_documents` are refused, with `refused_with`. `delay_s`
    is what an answer takes. What `refuses` makes of a query and its documents comes after the faults.
    """

    api: str
    faults: list[Fault] = field(default_factory=list)
    most_documents: int = 1000
    refused_with: int = 413
    delay_s: float = 0.0
    host: str = "127.0.0.1"
    told_status: int = 200
    shift: float = 0.0
    info: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, list[str]]] = field(default_factory=list)
    tries: int = 0
    arrivals_s: list[float] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    scorer: Scorer = field(default_factory=OverlapScorer)
    port: int = 0
    when_answered: Callable[[], None] = lambda: None
    refuses: Callable[[str, list[str]], Fault | None] = lambda query, documents: None

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """All that was paid for."""
        return [(query, document) for query, documents in self.asked for document in documents]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, UnicodeDecodeError):
            while line := await reader.readline():
                method, path, _ = line.decode().split(" ", 2)
                headers = {}
                while (header := (await reader.readline()).decode().strip()) != "":
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                if not await self._respond(method, path, headers, body, writer):
                    break
        writer.close()

    async def _respond(
        self, method: str, path: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> bool:
        self.keys.append(headers.get("authorization"))
        self.paths.append(path)
        if method == "GET":
            status = self.told_status if path in self.info else 404
            return await send(writer, status, {}, self.info.get(path, {}))
        self.tries += 1
        self.arrivals_s.append(time.monotonic())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.delay_s)
            return await self._answer(json.loads(body), writer)
        finally:
            self.at_once -= 1

    async def _answer(self, body: Any, writer: asyncio.StreamWriter) -> bool:
        query, documents = _asked(self.api, body)
        fault = self.faults.pop(0) if self.faults else self.refuses(query, documents) or Fault()
        if fault.dropped:
            return False
        if fault.status != 200:
            return await send(writer, fault.status, fault.headers, fault.body)
        if len(documents) > self.most_documents:
            told = {"message": f"too many documents: {len(documents)}, the maximum is {self.most_documents}"}
            return await send(writer, self.refused_with, {}, told)
        pairs = await self.scorer.score(query, documents)
        scores = [(pair.score or 0.0) + self.shift for pair in pairs]
        content, extra = _formed(self.api, scores, documents)
        if fault.spoilt:
            content = fault.spoilt(content)
        if not fault.cut:
            self.asked.append((query, documents))
            self.when_answered()
        return await send(writer, 200, extra | fault.headers, content, fault)


def _asked(api: str, body: Any) -> tuple[str, list[str]]:
    """Of a request in the API's own form; another one is an error of the test."""
    if api == "tei":
        assert body.keys() <= {"query", "texts", "truncate", "truncation_direction", "raw_scores", "return_text"}
        return body["query"], body["texts"]
    if api == "nim":
        assert body.keys() <= {"model", "query", "passages", "truncate"}
        return body["query"]["text"], [one["text"] for one in body["passages"]]
    needed = {"query", "documents"} | ({"model"} if api in ("cohere", "jina", "voyage") else set())
    assert needed <= body.keys()
    if api == "cohere":
        assert body.keys() <= needed | {"top_n", "max_tokens_per_doc", "priority"}
    if api == "voyage":
        assert body.keys() <= needed | {"top_k", "return_documents", "truncation"}
    return body["query"], body["documents"]


def _formed(api: str, scores: list[float], documents: list[str]) -> tuple[Any, dict[str, str]]:
    """An answer and its headers: best first, as all of these give it."""
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    tokens = sum(len(text.split()) for text in documents)
    results = [{"index": place, "relevance_score": scores[place]} for place in order]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    match api:
        case "cohere":
            units = -(-len(documents) // 100)
            return {"id": "x", "results": results, "meta": {"billed_units": {"search_units": units}}}, {}
        case "jina":
            return {"model": "m", "usage": {"total_tokens": tokens}, "results": results}, {}
        case "voyage":
            return {"object": "list", "data": results, "model": "m", "usage": {"total_tokens": tokens}}, {}
        case "tei":
            plain = [{"index": place, "score": scores[place]} for place in order]
            return plain, {"x-compute-tokens": str(tokens)}
        case "nim":
            return {"rankings": [{"index": place, "logit": scores[place]} for place in order], "usage": usage}, {}
        case "vllm" | "rerank-eval":
            shown = [one | {"document": {"text": documents[one["index"]]}} for one in results]
            return {"id": "x", "model": "m", "usage": usage, "results": shown}, {}
    raise AssertionError(api)


async def send(
    writer: asyncio.StreamWriter, status: int, headers: dict[str, str], content: Any, fault: Fault | None = None
) -> bool:
    """Whether the connection goes on."""
    fault = fault or Fault()
    body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
    body = fault.packed(body) if fault.packed else body
    head = {"content-type": "application/json", "content-length": str(len(body))} | headers
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in head.items())]
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n")
    body = body[: len(body) // 2] if fault.cut else body
    pieces = [bytes([one]) for one in body] if fault.drip_s else [body]
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(fault.drip_s)
    return not fault.cut


@contextlib.contextmanager
def stub_api(api: str, **settings: Any) -> Iterator[StubApi]:
    """One that listens, in a thread of its own."""
    stub = StubApi(api, **settings)
    with listening(stub):
        yield stub


@contextlib.contextmanager
def listening(stub: StubApi) -> Iterator[None]:
    """While open, the stub answers, in a thread of its own."""
    listens = threading.Event()
    ended: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def listen() -> None:
        async with await asyncio.start_server(stub.serve, stub.host, 0) as server:
            stub.port = server.sockets[0].getsockname()[1]
            ended.append((asyncio.get_running_loop(), asyncio.Event()))
            listens.set()
            await ended[0][1].wait()

    thread = threading.Thread(target=lambda: asyncio.run(listen()), daemon=True)
    thread.start()
    assert listens.wait(60), "the stub does not listen"
    try:
        yield
    finally:
        loop, end = ended[0]
        loop.call_soon_threadsafe(end.set)
        thread.join()
