"""Raw scores are the model's own values, or refused; a document that may not be cut is not."""

from __future__ import annotations

import pytest

from serve_app.http.api_models import RerankRequest
from serve_app.http.refusal import RefusalError
from serve_app.http.shapes.shape import Scores
from serve_app.http.values import values_of
from stages.core.records import PairScore
from stages.core.scoring import sigmoid

LOGITS = [PairScore(sigmoid(value), value) for value in (2.0, -1.5)]
COSINES = [PairScore(0.25), PairScore(-0.5)]


def values(pairs: list[PairScore], scores: Scores = "score", *, may_cut: bool = True) -> list[float]:
    return values_of(pairs, RerankRequest("q", ["a", "b"], scores=scores, may_cut=may_cut), "a-model")


def test_raw_scores_are_the_logits_that_scores_are_made_from() -> None:
    assert values(LOGITS, "raw") == values(LOGITS, "raw_or_score") == [2.0, -1.5]
    assert values(LOGITS) == [sigmoid(2.0), sigmoid(-1.5)]


def test_of_a_model_without_logits_raw_scores_are_refused_and_never_made_up() -> None:
    with pytest.raises(RefusalError, match="a-model has no raw scores, as it computes no logit") as refused:
        values(COSINES, "raw")
    assert (refused.value.status, refused.value.param) == (422, "raw_scores")
    assert values(COSINES, "raw_or_score") == [0.25, -0.5]


def test_a_document_that_may_not_be_cut_is_refused() -> None:
    pairs = [PairScore(0.5), PairScore(0.25, truncated=True)]
    assert values(pairs) == [0.5, 0.25]
    with pytest.raises(RefusalError, match="document 1 is longer than the model reads") as refused:
        values(pairs, may_cut=False)
    assert (refused.value.status, refused.value.reason) == (422, "too_long")
