"""What the HTTP routes do: check the limits, ask a replica, and say how it went. No HTTP in here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

from serve_app.http.api_models import (
    RerankRequest,
    RerankResponse,
    Result,
    Score,
    ScoreRequest,
    ScoreResponse,
)
from serve_app.http.metrics import EndKind, Endpoint, Reason, ServiceMetrics
from serve_app.http.patience import DEADLINE, patiently
from serve_app.http.refusal import ClientGoneError, RefusalError
from serve_app.http.values import pairs_of, rank_key, timings_of, usage_of, values_of
from serve_app.http_settings import HttpSettings
from stages.core.errors import QueryTooLongError, ScoringError, TextTooLongError
from stages.core.records import PairScore, TimedScores

logger = logging.getLogger(__name__)
RETRY_AFTER_S = 1
NO_NAME = (None, "", "default/not-specified")  # infinity's client names it so
STARTING = "the service is starting, no engine is ready yet: try again later"


class Backend(Protocol):
    """Where scores come from: the replicas' handle, or a stand-in."""

    async def score(
        self, query: str, documents: Sequence[str], instruction: str | None, max_document_tokens: int | None
    ) -> TimedScores: ...

    async def ready_replicas(self) -> int: ...

    async def expositions(self) -> list[str]: ...

    async def facts(self) -> dict[str, Any]: ...


@dataclass(slots=True)
class RequestEnd:
    """How one request ends; filled in as it goes. Whatever nobody foresaw is a failure."""

    kind: EndKind = "failed"
    reason: Reason = "engine_error"
    body_read: bool = False
    documents: int = 0
    prompt_tokens: int = 0


class Service:
    """One model's reranking for online callers, within limits. `listwise`: a pair alone has no score. `most_pairs`: of
    one query so many pairs have a score each, as a cascade's last stage gives no more.
    """

    def __init__(
        self,
        backend: Backend,
        model: str,
        limits: HttpSettings,
        metrics: ServiceMetrics,
        *,
        listwise: bool = False,
        most_pairs: int | None = None,
    ) -> None:
        self.backend, self.model, self.limits, self.metrics = backend, model, limits, metrics
        self.listwise, self.most_pairs = listwise, most_pairs
        self.at_work = 0
        self._opened = False

    async def is_open(self) -> bool:
        """Whether an engine has ever answered. Until then the service is starting; later it waits for replicas."""
        self._opened = self._opened or bool(await self.backend.ready_replicas())
        return self._opened

    async def answer(self, request: RerankRequest | ScoreRequest, end: RequestEnd) -> RerankResponse | ScoreResponse:
        """Within `accepted`, which gave `end`. Raises RefusalError."""
        return await (self.rerank(request, end) if isinstance(request, RerankRequest) else self.score(request, end))

    async def rerank(self, request: RerankRequest, end: RequestEnd) -> RerankResponse:
        """Within `accepted`, which gave `end`. Raises RefusalError."""
        started_s, texts = time.perf_counter(), request.documents
        self._check(end, request.model, len(texts))
        self.metrics.query_seen(request.query)
        scores = await self._scores(request.query, texts, request.instruction, request.max_tokens_per_doc)
        values = values_of(scores.pairs, request, self.model)
        usage = usage_of(scores.pairs)
        end.prompt_tokens = usage.prompt_tokens
        order = sorted(range(len(texts)), key=lambda index: (-rank_key(scores.pairs[index]), index))[: request.top_n]
        return RerankResponse(
            id=f"rerank-{uuid.uuid4().hex}",
            model=self.model,
            results=[Result(index=index, relevance_score=values[index]) for index in order],
            truncated=[index for index, pair in enumerate(scores.pairs) if pair.truncated],
            passages={index: pair.passages for index, pair in enumerate(scores.pairs) if pair.passages > 1} or None,
            usage=usage,
            meta=timings_of(scores, started_s),
        )

    async def score(self, request: ScoreRequest, end: RequestEnd) -> ScoreResponse:
        """Within `accepted`, which gave `end`. Raises RefusalError."""
        self._check(end, request.model, len(request.documents))
        queries, documents = pairs_of(request)
        if len(set(queries)) == 1:
            self._require_scored(len(documents))
            limit = request.max_tokens_per_doc
            pairs = (await self._scores(queries[0], documents, request.instruction, limit)).pairs
        elif self.listwise:
            raise RefusalError(422, "bad_request", f"{self.model} scores a query's documents together", "text_1")
        else:
            pairs = await self._each(queries, documents, request)
        values, usage = values_of(pairs, request, self.model), usage_of(pairs)
        end.prompt_tokens = usage.prompt_tokens
        data = [Score(index=index, score=value) for index, value in enumerate(values)]
        return ScoreResponse(id=f"score-{uuid.uuid4().hex}", model=self.model, data=data, usage=usage)

    async def _each(self, queries: Sequence[str], documents: Sequence[str], asked: ScoreRequest) -> list[PairScore]:
        """A query of its own for each document. Where one is refused, the others are not scored for nobody."""
        pairs = zip(queries, documents, strict=True)
        how = asked.instruction, asked.max_tokens_per_doc
        calls = [asyncio.create_task(self._scores(query, [text], *how)) for query, text in pairs]
        try:
            return [scores.pairs[0] for scores in await asyncio.gather(*calls)]
        finally:
            for call in calls:
                call.cancel()

    @contextlib.asynccontextmanager
    async def accepted(self, endpoint: Endpoint) -> AsyncIterator[RequestEnd]:
        """A place, and the time until the deadline: for reading the body (`body_read` says when that is done) and for
        scoring. Whatever happens inside is counted under its reason.
        """
        end, started_s = RequestEnd(), time.perf_counter()
        try:
            await self._admit()
            self.at_work += 1
            try:
                async with asyncio.timeout(self.limits.deadline_s) as limit:
                    DEADLINE.set(limit.when())
                    yield end
            finally:
                self.at_work -= 1
            end.kind, end.reason = "ok", "none"
        except RefusalError as refusal:
            end.kind, end.reason = _refused(refusal)
            raise
        except (asyncio.CancelledError, ClientGoneError):
            end.reason = "client_gone"
            raise
        except TimeoutError as error:
            late = await self._too_late(end)
            end.kind, end.reason = _refused(late)
            raise late from error
        except Exception as error:
            logger.exception("a request failed")
            raise RefusalError(500, "engine_error", "the service failed; its log says why") from error
        finally:
            seconds = time.perf_counter() - started_s
            self.metrics.request_done(endpoint, end.kind, end.reason, seconds, end.documents, end.prompt_tokens)

    async def _admit(self) -> None:
        if not await self.is_open():
            raise RefusalError(503, "not_ready", STARTING)
        if self.at_work >= self.limits.max_waiting:
            raise RefusalError(429, "overload", f"{self.at_work} requests are at work already: try again later")

    async def _too_late(self, end: RequestEnd) -> RefusalError:
        """Why there is no result at the deadline."""
        limit = f"within {self.limits.deadline_s:g} s"
        if not end.body_read:
            return RefusalError(408, "slow_body", f"the body was not complete {limit}: send it faster, or less of it")
        if await self.backend.ready_replicas():
            return RefusalError(504, "timeout", f"no result {limit}: send fewer documents, or try again later")
        message = f"no result {limit}: no engine answers, one is starting or died; try again later"
        return RefusalError(503, "not_ready", message)

    def _check(self, end: RequestEnd, model: str | None, documents: int) -> None:
        end.documents = documents
        self.require_model(model)
        if documents > self.limits.max_documents:
            message = f"{documents} documents in one request, {self.limits.max_documents} are allowed: send several"
            raise RefusalError(422, "bad_request", message, "documents")

    def _require_scored(self, pairs: int) -> None:
        if self.most_pairs is not None and pairs > self.most_pairs:
            most = self.most_pairs
            message = (
                f"{self.model} is a cascade, whose last stage scores {most} documents of a query: ask for so many "
                "pairs at once, or for a ranking, from /v1/rerank"
            )
            raise RefusalError(422, "bad_request", message, "text_2")

    def require_model(self, name: str | None) -> None:
        """Raise RefusalError where a request that names this model is not for us."""
        names = self.limits.model_names
        if name in NO_NAME or name == self.model or any(_is_named(one, str(name)) for one in names):
            return
        message = f"model {name!r:.100} is not served here: {self.model}. serve.http.model_names can have further names"
        raise RefusalError(404, "unknown_model", message, "model")

    async def _scores(
        self, query: str, documents: Sequence[str], instruction: str | None, max_document_tokens: int | None
    ) -> TimedScores:
        """Ask a replica, until the deadline."""
        try:
            scores = await patiently(lambda: self.backend.score(query, documents, instruction, max_document_tokens))
        except QueryTooLongError as error:
            raise RefusalError(422, "too_long", str(error), "query") from error
        except TextTooLongError as error:
            raise RefusalError(413, "too_large", str(error)) from error
        except ScoringError as error:
            raise RefusalError(422, "bad_request", str(error)) from error
        self.metrics.stages(scores.queue_ms / 1000, scores.tokenize_ms / 1000, scores.engine_ms / 1000)
        return scores


def _is_named(pattern: str, name: str) -> bool:
    """`*` alone is special: fnmatch would read [ and ? of a name as well."""
    return fnmatchcase(name, re.sub(r"[\[?]", r"[\g<0>]", pattern))


def _refused(refusal: RefusalError) -> tuple[EndKind, Reason]:
    return ("rejected" if refusal.status < 500 else "failed"), refusal.reason
