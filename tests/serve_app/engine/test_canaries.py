"""An engine must score a few built-in pairs sensibly before it is trusted with a job."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from serve_app.engine.canaries import CANARIES, check_canaries
from stages.core.errors import CanaryError
from stages.core.records import PairScore
from stages.core.scoring import OverlapScorer


class FixedScorer:
    """Answers every document with the next of the given scores, and with the last one from then on."""

    def __init__(self, *pairs: PairScore) -> None:
        self.pairs = list(pairs)

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        return [self.pairs.pop(0) if len(self.pairs) > 1 else self.pairs[0] for _ in documents]


class ForgetfulScorer(OverlapScorer):
    """Leaves the last document out."""

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        return await super().score(query, documents[:-1], instruction)


def test_sensible_scores_pass() -> None:
    asyncio.run(check_canaries(OverlapScorer()))


def test_canaries_are_pairs_of_several_queries_and_documents() -> None:
    assert len(CANARIES) >= 2
    assert all(len(set(documents)) == len(documents) >= 2 for _, documents in CANARIES)


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (PairScore(0.5), "the same score, 0.5"),
        (PairScore(0.5, logit=0.0), "the same score, 0"),
        (PairScore(float("nan")), "fails on a built-in pair: nan"),
        (PairScore(0.5, logit=float("inf")), "fails on a built-in pair: inf"),
        (PairScore(None, error="the engine returned nothing"), "the engine returned nothing"),
        (PairScore(None), "fails on a built-in pair: None"),
    ],
)
def test_scores_that_cannot_be_right_are_refused_with_what_to_check(pair: PairScore, reason: str) -> None:
    with pytest.raises(CanaryError, match=reason) as raised:
        asyncio.run(check_canaries(FixedScorer(pair)))
    assert "Check model" in str(raised.value)


def test_one_bad_score_among_good_ones_is_refused() -> None:
    with pytest.raises(CanaryError, match="aborted"):
        asyncio.run(check_canaries(FixedScorer(PairScore(0.1), PairScore(None, error="aborted"), PairScore(0.2))))


def test_probabilities_that_tie_pass_where_their_logits_differ() -> None:
    asyncio.run(check_canaries(FixedScorer(PairScore(1.0, logit=40.0), PairScore(1.0, logit=41.0))))


def test_a_missing_score_is_refused() -> None:
    with pytest.raises(CanaryError, match="2 scores for 3 built-in documents"):
        asyncio.run(check_canaries(ForgetfulScorer()))
