"""A stand-in for the HTTP service: its contract over the OverlapScorer, on a free loopback port, without Ray."""

from __future__ import annotations

import asyncio
import threading
import time
from types import TracebackType
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from pipelines.base.ports import free_port
from serve_app.http.api_models import ErrorDetail, ErrorResponse, RerankRequest, RerankResponse, Result, Usage
from serve_app.http.shapes.request import parsed, wanted
from serve_app.http.shapes.table import RERANK
from stages.core.records import PairScore
from stages.core.scoring import OverlapScorer

START_TIMEOUT_S = 10.0
MODEL = {
    "id": "overlap",
    "object": "model",
    "owned_by": "rerank-eval",
    "max_model_len": 64,
    "family": "overlap",
    "instruction": None,
    "template": "single_newline",
    "dtype": "float32",
    "replicas": 1,
}


class FakeService:
    """`with FakeService() as service:` listens at `service.url`; `stop()` and `start()` take the port down and up.

    Requests need `key`, if given. A document is cut to `max_words`. Where `refusal` is set, every rerank call gets it
    instead of an answer; the query `held` waits for its answer until it is held no more. `requests` holds the bodies
    that were answered.
    """

    def __init__(self, key: str | None = None, max_words: int = 64) -> None:
        self.key = key
        self.max_words = max_words
        self.refusal: Response | None = None
        self.held: str | None = None
        self.requests: list[RerankRequest] = []
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._server = uvicorn.Server(uvicorn.Config(self._api(), "127.0.0.1", self.port, log_level="warning"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._server.started:
            if time.monotonic() > deadline or not self._thread.is_alive():
                raise RuntimeError(f"the fake service did not start on port {self.port}")
            time.sleep(0.01)

    @property
    def running(self) -> bool:
        return self._server is not None

    def stop(self) -> None:
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join()
            self._server = self._thread = None

    def __enter__(self) -> FakeService:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _api(self) -> FastAPI:
        api = FastAPI()

        @api.middleware("http")
        async def check_key(request: Request, call_next: Any) -> Response:
            if self.key and request.headers.get("authorization") != f"Bearer {self.key}":
                return refusal(401, "give an API key: Authorization: Bearer KEY")
            answer: Response = await call_next(request)
            return answer

        @api.get("/v1/models")
        async def models() -> dict[str, Any]:
            return {"object": "list", "data": [MODEL]}

        @api.post("/v1/rerank")
        async def rerank(request: Request) -> Response:
            if self.refusal is not None:
                return self.refusal
            body = wanted(RERANK, parsed(await request.body())).request
            assert isinstance(body, RerankRequest)
            self.requests.append(body)
            while body.query == self.held:
                await asyncio.sleep(0.01)
            return JSONResponse((await self._answer(body)).model_dump(exclude_none=True))

        return api

    async def _answer(self, body: RerankRequest) -> RerankResponse:
        words = [text.split() for text in body.documents]
        scores = await OverlapScorer().score(body.query, [" ".join(some[: self.max_words]) for some in words])
        order = sorted(range(len(scores)), key=lambda index: (-_score(scores[index]), index))
        tokens = sum(pair.prompt_tokens for pair in scores)
        return RerankResponse(
            id="rerank-0",
            model="overlap",
            results=[Result(index=index, relevance_score=_score(scores[index])) for index in order[: body.top_n]],
            truncated=[index for index, some in enumerate(words) if len(some) > self.max_words],
            usage=Usage(prompt_tokens=tokens, total_tokens=tokens, cached_tokens=0),
            meta={"timings_ms": {"queue": 0.1, "tokenize": 0.2, "engine": 1.5, "total": 2.0}},
        )


def refusal(status: int, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error in the service's form."""
    error = ErrorResponse(error=ErrorDetail(message=message, type="server_error", param=None, code="test"))
    return JSONResponse(error.model_dump(), status_code=status, headers=headers)


def _score(pair: PairScore) -> float:
    assert pair.score is not None  # the OverlapScorer scores every pair
    return pair.score
