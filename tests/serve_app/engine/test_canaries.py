"""An engine must score a few built-in pairs sensibly before it is trusted with a job."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from serve_app.engine.canaries import (
    CANARIES,
    KNOWN_SCORES,
    TOLERANCES,
    CanaryDrift,
    canary_drift,
    check_canaries,
    describe_drift,
)
from serve_app.settings import EMBEDDED_MODEL
from stages.core.errors import CanaryError
from stages.core.identity import ScoringIdentity
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
    scores = asyncio.run(check_canaries(OverlapScorer()))
    assert len(scores) == len(KNOWN_SCORES) == sum(len(documents) for _, documents in CANARIES)


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


# --- known scores ---

EMBEDDED = ScoringIdentity(
    "sha256:0", "embedding", None, None, 256, 2, "own 0", "cpu", "bfloat16", "0.33.0", "5.19.0", "0.22"
)


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_the_embedded_models_scores_may_round_and_not_move(dtype: str) -> None:
    identity = replace(EMBEDDED, dtype=dtype)
    rounded = [score + TOLERANCES[dtype] / 2 for score in KNOWN_SCORES]
    moved = [*KNOWN_SCORES[:-1], KNOWN_SCORES[-1] - 2 * TOLERANCES[dtype]]
    for scores, expected in ((KNOWN_SCORES, False), (rounded, False), (moved, True)):
        drift = canary_drift(EMBEDDED_MODEL, identity, scores)
        assert drift is not None and drift.moved == expected
    assert drift == CanaryDrift(pytest.approx(2 * TOLERANCES[dtype]), TOLERANCES[dtype])


@pytest.mark.parametrize(
    ("model", "changed"),
    [
        ("/models/other", {}),
        (EMBEDDED_MODEL, {"instruction": "find it"}),
        (EMBEDDED_MODEL, {"settings": {"quantization": '"fp8"'}}),
        (EMBEDDED_MODEL, {"max_length": 9}),
        (EMBEDDED_MODEL, {"dtype": "float64"}),
    ],
)
def test_where_scores_are_not_known_nothing_is_said_to_move(model: str, changed: dict[str, Any]) -> None:
    assert canary_drift(model, replace(EMBEDDED, **changed), [9.0] * len(KNOWN_SCORES)) is None


def test_what_moved_is_told_with_the_versions_in_one_line() -> None:
    told = describe_drift(CanaryDrift(0.0312, 0.02), EMBEDDED)
    assert "by up to 0.031, where bfloat16 rounds by 0.02 at most. vLLM 0.33.0" in told
    assert "Transformers 5.19.0" in told and "\n" not in told
