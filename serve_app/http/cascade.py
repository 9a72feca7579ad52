"""A cascade as one backend: each stage's engines are asked for the top of what the stage before left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from serve_app.http.patience import DEADLINE, patiently
from serve_app.http.refusal import RefusalError
from serve_app.http.service import Backend
from serve_app.http.values import rank_key
from stages.core.cascade import CASCADE
from stages.core.records import PairScore, TimedScores

# How much of a new measurement goes into what a stage is known to need.
NEWEST = 0.2
# A stage may take this many times what it usually does, whatever the stages behind it need.
USUAL_TIMES = 2.0


@dataclass(frozen=True, slots=True)
class CascadeStage:
    """`name` is its model's; `depth` how many documents it scores of what was left (None: all)."""

    name: str
    backend: Backend
    depth: int | None


class CascadeBackend:
    """Scores that order the documents as the cascade does: those of the last stage, and behind it scores that fall by 1
    with each place, in the order of the stage before, as in the run.trec of a job.
    """

    def __init__(self, stages: Sequence[CascadeStage]) -> None:
        self._stages = stages
        self._pace_s: list[float | None] = [None] * len(stages)

    async def score(
        self, query: str, documents: Sequence[str], instruction: str | None, max_document_tokens: int | None
    ) -> TimedScores:
        """Raises what a stage raised, and RefusalError where one takes the time that those behind it need. A pair that
        fails in any stage has its error, and no score.
        """
        left, told = list(range(len(documents))), Told(len(documents))
        for place, stage in enumerate(self._stages):
            asked, behind = left[: stage.depth], left[stage.depth :] if stage.depth is not None else []
            texts = [documents[index] for index in asked]
            async with self._in_time(place, len(documents)):
                began_s = asyncio.get_running_loop().time()
                ask = partial(stage.backend.score, query, texts, instruction, max_document_tokens)
                scores = await patiently(ask)
                self._learn(place, (asyncio.get_running_loop().time() - began_s) / max(len(texts), 1))
            told.add(asked, scores)
            # Equal scores leave the order of before.
            left = sorted(asked, key=lambda index: -rank_key(told.last[index])) + behind
            told.scored = len(asked)
        return told.ordered(left)

    async def ready_replicas(self) -> int:
        """Of the stage that has fewest: a cascade answers once all of its stages do."""
        return min(await asyncio.gather(*(stage.backend.ready_replicas() for stage in self._stages)))

    async def expositions(self) -> list[str]:
        several = await asyncio.gather(*(stage.backend.expositions() for stage in self._stages))
        return list(dict.fromkeys(text for texts in several for text in texts))

    async def facts(self) -> dict[str, Any]:
        """What all stages share, and under `stages` each one's own facts."""
        several = await asyncio.gather(*(stage.backend.facts() for stage in self._stages))
        stages = [
            {"model": stage.name, "depth": stage.depth, **facts}
            for stage, facts in zip(self._stages, several, strict=True)
        ]
        shared = {name: _shared([facts.get(name) for facts in several]) for name in ("dtype", "backend", "replicas")}
        return {
            "family": CASCADE,
            "max_model_len": min(facts["max_model_len"] for facts in several),
            "instruction": None,
            "template": None,
            "identity": None,
            **shared,
            "stages": stages,
        }

    @asynccontextmanager
    async def _in_time(self, place: int, documents: int) -> AsyncIterator[None]:
        """Within: until the request's deadline, less what the stages behind are known to need. A request that the last
        ones cannot answer any more is given up before it costs their engines anything.
        """
        limit = self._limit(place, documents)
        try:
            async with asyncio.timeout_at(limit) as timeout:
                yield
        except TimeoutError as error:
            if not timeout.expired():
                raise
            told = f"stage {place + 1} of {len(self._stages)} took the time that the stages behind it need"
            message = f"no result within the deadline: {told}; send fewer documents, or try again later"
            raise RefusalError(504, "timeout", message) from error

    def _limit(self, place: int, documents: int) -> float | None:
        """By the event loop's clock; None where the request's own deadline is all there is."""
        deadline, own = DEADLINE.get(), self._need_s(place, documents)
        behind = sum(self._need_s(other, documents) or 0.0 for other in range(place + 1, len(self._stages)))
        if deadline is None or own is None or not behind:
            return None
        now = asyncio.get_running_loop().time()
        limit = max(deadline - behind, now + USUAL_TIMES * own)
        return limit if limit < deadline else None

    def _need_s(self, place: int, documents: int) -> float | None:
        """What a stage usually takes for so many documents of the request; None where it was never asked."""
        pace_s, depth = self._pace_s[place], self._stages[place].depth
        return None if pace_s is None else pace_s * min(documents, depth or documents)

    def _learn(self, place: int, pace_s: float) -> None:
        known = self._pace_s[place]
        self._pace_s[place] = pace_s if known is None else known + NEWEST * (pace_s - known)


class Told:
    """What the stages said of each of a request's documents, so far; `scored` are those of the last one."""

    def __init__(self, documents: int) -> None:
        self.last: list[PairScore] = [PairScore(None, error="no stage was asked")] * documents
        self.scored = 0
        self._tokenize_ms = self._queue_ms = self._engine_ms = 0.0
        self._seen: set[int] = set()

    def add(self, asked: Sequence[int], scores: TimedScores) -> None:
        """The scores are the newest stage's; what it cost adds up."""
        for index, pair in zip(asked, scores.pairs, strict=True):
            before = self.last[index] if index in self._seen else PairScore(None)
            self.last[index] = replace(
                pair,
                prompt_tokens=before.prompt_tokens + pair.prompt_tokens,
                cached_tokens=before.cached_tokens + pair.cached_tokens,
                truncated=before.truncated or pair.truncated,
                passages=max(before.passages, pair.passages),
                error=before.error or pair.error,
                score=None if before.error else pair.score,
            )
        self._seen.update(asked)
        self._tokenize_ms += scores.tokenize_ms
        self._queue_ms += scores.queue_ms
        self._engine_ms += scores.engine_ms

    def ordered(self, left: Sequence[int]) -> TimedScores:
        """Documents in the order `left`, of which the last stage scored the first; the others get scores that fall
        below its lowest by 1 with each place.
        """
        scored = [self.last[index] for index in left[: self.scored]]
        lowest = min((pair.score for pair in scored if pair.score is not None), default=0.0)
        logits = [pair.logit for pair in scored]
        # One without a logit leaves none to all: raw scores are of all documents, or not to be had.
        lowest_logit = None if not logits or None in logits else min(logit for logit in logits if logit is not None)
        for place, index in enumerate(left[self.scored :], 1):
            pair = self.last[index]
            if pair.error is not None and index in self._seen:
                continue
            self.last[index] = replace(
                pair,
                score=lowest - place,
                logit=None if lowest_logit is None else lowest_logit - place,
                error=None,
            )
        return TimedScores(self.last, self._tokenize_ms, self._queue_ms, self._engine_ms)


def _shared(values: Sequence[Any]) -> Any:
    return values[0] if all(value == values[0] for value in values) else None
