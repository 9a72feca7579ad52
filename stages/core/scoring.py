"""What a scorer is, and the one that ships without a model."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Protocol

from stages.core.records import PairScore


class Scorer(Protocol):
    """One query and its documents -> one PairScore each, in the documents' order.

    Raises a ScoringError where the whole query cannot be scored; a single pair that fails carries its `error`.
    """

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]: ...


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


def sigmoid(logit: float) -> float:
    """1 / (1 + e^-logit), without overflow at either end."""
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    power = math.exp(logit)
    return power / (1 + power)


def _words(text: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in re.findall(r"\w+", text))
