"""What a scorer is, and the one that ships without a model."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar, runtime_checkable

from stages.core.errors import ScoringError
from stages.core.records import Asked, Outcome, PairScore

Item = TypeVar("Item")  # what comes of one document


class Scorer(Protocol):
    """One query and its documents -> one PairScore each, in the documents' order.

    Raises a ScoringError where the whole query cannot be scored; a single pair that fails carries its `error`.
    """

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]: ...


@runtime_checkable
class BatchScorer(Scorer, Protocol):
    """A scorer to which several queries at once come cheaper: one that has to ask another process."""

    async def score_batch(self, batch: Sequence[Asked]) -> list[Outcome]:
        """What comes of each query, in order. A query that cannot be scored fails alone."""


async def score_batch(scorer: Scorer, batch: Sequence[Asked]) -> list[Outcome]:
    """What comes of each query, in order: asked for at once where the scorer can take several, else one by one."""
    if isinstance(scorer, BatchScorer):
        return await scorer.score_batch(batch)
    return await score_each(scorer.score, batch)


async def score_each(
    score: Callable[[str, Sequence[str], str | None], Awaitable[list[Item]]], batch: Sequence[Asked]
) -> list[list[Item] | ScoringError]:
    """What comes of each query, in order, all being at work together. Cancelling it cancels them all.

    What is no ScoringError is a bug, and raised when all have ended.
    """
    outcomes = await asyncio.gather(*(score(*one) for one in batch), return_exceptions=True)
    return [_expected(outcome) for outcome in outcomes]


def required(outcome: list[Item] | ScoringError) -> list[Item]:
    """What came of each document. Raises what the query failed of."""
    if isinstance(outcome, ScoringError):
        raise outcome
    return outcome


class OverlapScorer:
    """The share of the query's distinct words that the document contains: 0 to 1, no model, no engine.

    For tests of everything but scoring. Nothing falls back to it.
    """

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        del instruction  # words overlap whatever relevance means
        wanted = _words(query)
        return [self._pair(wanted, document) for document in documents]

    @staticmethod
    def _pair(wanted: frozenset[str], document: str) -> PairScore:
        found = _words(document)
        share = len(wanted & found) / len(wanted) if wanted else 0.0
        return PairScore(score=share, prompt_tokens=len(wanted) + len(found))


def _expected(outcome: list[Item] | BaseException) -> list[Item] | ScoringError:
    if isinstance(outcome, BaseException) and not isinstance(outcome, ScoringError):
        raise outcome
    return outcome


def sigmoid(logit: float) -> float:
    """1 / (1 + e^-logit), without overflow at either end."""
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    power = math.exp(logit)
    return power / (1 + power)


def _words(text: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in re.findall(r"\w+", text))
