"""An engine must score a few built-in pairs sensibly before it is trusted with a job."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from serve_app.engine.canaries import (
    CANARIES,
    KNOWN_SCORES,
    TOLERANCES,
    CanaryDrift,
    canary_drift,
    check_canaries,
    describe_drift,
    published_recipe,
)
from serve_app.settings import EMBEDDED_MODEL
from stages.core.errors import CanaryError
from stages.core.identity import ScoringIdentity
from stages.core.records import PairScore
from stages.core.scoring import OverlapScorer
from tests.examples import examples


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


def test_weights_that_are_made_up_may_give_every_pair_the_same_score_but_no_nan() -> None:
    """Twenty-eight layers of vLLM's own dummy weights leave nothing of a text in bfloat16: 0.6B's shape, six pairs."""
    scores = asyncio.run(check_canaries(FixedScorer(PairScore(0.5, logit=1.4e-06)), "finite", made_up=True))
    assert set(scores) == {1.4e-06}
    with pytest.raises(CanaryError, match="fails on a built-in pair"):
        asyncio.run(check_canaries(FixedScorer(PairScore(float("nan"))), "finite", made_up=True))


def test_canaries_are_pairs_of_several_queries_and_documents() -> None:
    assert len(CANARIES) >= 2
    assert all(len(set(documents)) == len(documents) >= 2 for _, documents in CANARIES)


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (PairScore(0.5), "the same score, 0.5"),
        (PairScore(1.0), "the same score, 1"),
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
    asyncio.run(check_canaries(FixedScorer(PairScore(1.0, logit=41.0), PairScore(1.0, logit=40.0))))


def scorer_of(*scores: float) -> FixedScorer:
    return FixedScorer(*(PairScore(score) for score in scores))


# Three scores for each query, of which the first is the answer's.
NONSENSE = {
    "vectors of one value": [1.0, -1.0, 1.0, 1.0, 1.0, 1.0],
    "vectors of nearly one direction": [1.0, 0.9999999, 0.9999998, 1.0, -0.9999999, 1.0],
    "upside down": [-9.0, 8.0, 8.5, -9.5, 7.0, 8.0],
    "one query's answer far behind": [5.0, -5.0, -5.0, -4.0, -5.0, 4.0],
    "probabilities": [0.1, 0.2, 0.9, 0.6, 0.5, 0.5],
}


@pytest.mark.parametrize("scores", NONSENSE.values(), ids=NONSENSE)
def test_what_no_model_gives_that_is_scored_as_published_is_refused_unless_the_user_says_otherwise(
    scores: list[float],
) -> None:
    with pytest.raises(CanaryError) as caught:
        asyncio.run(check_canaries(scorer_of(*scores)))
    assert "rerank-eval models check" in str(caught.value) and "model.canaries: finite" in str(caught.value)
    assert asyncio.run(check_canaries(scorer_of(*scores), "finite")) == scores


def test_the_pair_that_makes_no_sense_is_named() -> None:
    with pytest.raises(CanaryError) as caught:
        asyncio.run(check_canaries(scorer_of(*NONSENSE["one query's answer far behind"])))
    assert "'Rain is likely.' (4) far better than 'Use sorted(values)" in str(caught.value)
    assert "for 'how to sort a list in python'" in str(caught.value)


@pytest.mark.parametrize(
    "scores",
    [
        [0.71, 0.69, 0.70, 0.70, 0.69, 0.69],
        [0.70, 0.71, 0.69, 0.75, 0.60, 0.60],
        [-0.9, -1.0, -1.0, 1.0, -1.0, -1.0],
        [9.0, -3.0, -3.0, 2.0, 6.0, -6.0],
    ],
    ids=["close together", "an answer barely behind", "nearly all at the ends", "behind by less than half the spread"],
)
def test_a_model_that_ranks_badly_is_not_refused(scores: list[float]) -> None:
    asyncio.run(check_canaries(scorer_of(*scores)))


@given(st.lists(st.floats(-100, 100, width=32), min_size=6, max_size=6), st.floats(0.01, 100), st.floats(-100, 100))
@examples(200)
def test_the_scale_of_the_scores_decides_nothing(scores: list[float], scale: float, shift: float) -> None:
    """A model may give logits, cosines or sums: whether their order makes sense does not depend on their unit."""
    assume(max(scores) - min(scores) > 1e-2)
    margins = [max(scores[at + 1 : at + 3]) - scores[at] for at in (0, 3)]
    spread = max(scores) - min(scores)
    assume(all(abs(margin - spread / 2) > 1e-4 * spread for margin in margins))
    moved = [score * scale + shift for score in scores]
    assume(all(abs(abs(score) - 1) > 1e-5 for score in (*scores, *moved)))
    assert is_refused(scores) == is_refused(moved) == any(margin > spread / 2 for margin in margins)


def is_refused(scores: list[float]) -> bool:
    try:
        asyncio.run(check_canaries(scorer_of(*scores)))
    except CanaryError:
        return True
    return False


def test_a_missing_score_is_refused() -> None:
    with pytest.raises(CanaryError, match="2 scores for 3 built-in documents"):
        asyncio.run(check_canaries(ForgetfulScorer()))


# --- known scores ---

EMBEDDED = ScoringIdentity(
    "sha256:0", "embedding", None, None, 256, 2, published_recipe(), "cpu", "bfloat16", "0.33.0", "5.19.0", "0.22"
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
        (EMBEDDED_MODEL, {"recipe": "without-prompts 0"}),
        (EMBEDDED_MODEL, {"dtype": "float64"}),
    ],
)
def test_where_scores_are_not_known_nothing_is_said_to_move(model: str, changed: dict[str, Any]) -> None:
    assert canary_drift(model, replace(EMBEDDED, **changed), [9.0] * len(KNOWN_SCORES)) is None


def test_what_moved_is_told_with_the_versions_in_one_line() -> None:
    told = describe_drift(CanaryDrift(0.0312, 0.02), EMBEDDED)
    assert "by up to 0.031, where bfloat16 rounds by 0.02 at most. vLLM 0.33.0" in told
    assert "Transformers 5.19.0" in told and "\n" not in told
