"""A service with /v1/rerank that answers as a test wants it to: behind a free port, or as a coroutine alone."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from pipelines.service.load.client import Reply
from pipelines.service.load.payload_shape import Payload

TOKENS_PER_WORD, TEMPLATE_TOKENS = 1.5, 40


@dataclass
class Behaviour:
    """What a service does with a request, and what it saw of them.

    A request takes `delay_s`, of which `places` are worked on at once; from `stalled_from_s` to `stalled_to_s` after
    the first one nothing is answered at all. A request beyond `most_waiting` gets HTTP 429. `statuses` are answered
    first. `bodies` holds what was asked, `most_at_work` how many were at work at once.
    """

    delay_s: float = 0.0
    places: int = 1000
    most_waiting: int = 100_000
    stalled_from_s: float = 0.0
    stalled_to_s: float = 0.0
    tells_tokens: bool = True
    model: str | None = "tiny"
    statuses: list[int] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    most_at_work: int = 0
    _began_s: float | None = None
    _at_work: int = 0
    _free: asyncio.Semaphore | None = None

    async def answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """The HTTP status, and the body of the answer."""
        self.bodies.append(body)
        if self.statuses:
            return self.statuses.pop(0), {"error": {"message": "as the test wants it"}}
        if self._at_work >= self.most_waiting:
            return 429, {"error": {"message": "too many"}}
        self._free = self._free or asyncio.Semaphore(self.places)
        self._at_work += 1
        self.most_at_work = max(self.most_at_work, self._at_work)
        try:
            async with self._free:
                await asyncio.sleep(self.delay_s + self._stall())
        finally:
            self._at_work -= 1
        return 200, self._results(body)

    async def send(self, payload: Payload) -> Reply:
        """As the load test's client sends, without a network."""
        status, content = await self.answer(json.loads(payload.body))
        return Reply(None if status == 200 else f"HTTP {status}", json.dumps(content).encode())

    def _stall(self) -> float:
        now_s = asyncio.get_running_loop().time()
        self._began_s = now_s if self._began_s is None else self._began_s
        since = now_s - self._began_s
        return self.stalled_to_s - since if self.stalled_from_s <= since < self.stalled_to_s else 0.0

    def _results(self, body: dict[str, Any]) -> dict[str, Any]:
        documents = body["documents"]
        answer: dict[str, Any] = {"results": [{"index": i, "relevance_score": 0.5} for i in range(len(documents))]}
        if self.tells_tokens:
            words = sum(len(text.split()) for text in documents)
            tokens = round(words * TOKENS_PER_WORD) + TEMPLATE_TOKENS * len(documents)
            answer["usage"] = {"prompt_tokens": tokens, "total_tokens": tokens}
        return answer


@dataclass
class LoadServer(Behaviour):
    """`with LoadServer() as server:` listens at `server.url`. `connections` is how many were opened."""

    connections: int = 0
    port: int = 0
    _peers: set[asyncio.BaseTransport | None] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> LoadServer:
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(ready,), daemon=True)
        self._thread.start()
        assert ready.wait(60), "the server did not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)
        assert not self._thread.is_alive(), "the server does not stop"

    def _serve(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        runner = self._loop.run_until_complete(self._start())
        ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.run_until_complete(_cancelled(asyncio.all_tasks(self._loop)))
        self._loop.close()

    async def _start(self) -> web.AppRunner:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/rerank", self._rerank)
        if self.model is not None:
            app.router.add_get("/v1/models", self._models)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        return runner

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": self.model}]})

    async def _rerank(self, request: web.Request) -> web.StreamResponse:
        self._peers.add(request.transport)
        self.connections = len(self._peers)
        status, content = await self.answer(json.loads(await request.read()))
        return web.json_response(content, status=status)


async def _cancelled(tasks: set[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    """A server of its own process, which takes nothing from the client's: prints its port, ends with its stdin."""
    with LoadServer(delay_s=float(sys.argv[1])) as server:
        print(server.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
