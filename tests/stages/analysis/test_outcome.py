"""An outcome keeps ids, scores and sizes, and no texts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from stages.analysis.outcome import outcome_of, text_length
from stages.core.rerank import rank
from tests.analysis_inputs import Collection, collections, one_query
from tests.examples import examples


@examples(40)
@given(collections())
def test_an_outcome_gives_back_both_orders(made: Collection) -> None:
    for (candidates, ranking), outcome in zip(made.pairs, made.outcomes, strict=True):
        assert outcome.first_stage() == candidates.first_stage()
        assert outcome.listed(outcome.order) == ranking.ordered()
        assert tuple(outcome.scores[outcome.order]) == ranking.scores
        assert np.isnan(outcome.keys).sum() == ranking.unscored
        assert [outcome.doc_ids[place] for place in outcome.asked] == list(candidates.doc_ids)


def test_cosines_are_no_probabilities() -> None:
    for cosine in (True, False):
        candidates, scores = one_query("q", {"a": 0.5, "b": 0.2}, cosine=cosine)
        assert outcome_of(candidates, rank(candidates, scores)).are_probabilities == (not cosine)


def test_a_ranking_of_other_candidates_is_refused() -> None:
    candidates, scores = one_query("q", {"a": 1.0, "b": 0.0})
    ranking = rank(candidates, scores)
    for other in (replace(candidates, query_id="p"), replace(candidates, tail=("t",)), one_query("q", {"a": 1.0})[0]):
        with pytest.raises(ValueError, match="not one of the candidates"):
            outcome_of(other, ranking)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("two words", 2),
        ("  a well-known  fact. ", 3),
        ("Crème brûlée", 2),
        ("北京在哪里?", 5),
        ("北京。在 Berlin 吗", 5),
        ("ひらがな", 4),
        ("한국어 문장", 2),
        ("", 0),
    ],
)
def test_a_length_counts_words_and_cjk_characters(text: str, length: int) -> None:
    assert text_length(text) == length


def test_scores_beyond_single_precision_stay_finite_and_in_order() -> None:
    candidates, scores = one_query("q", {"a": -1e300, "b": 1e300}, first_scores=[1e300, -1e300], cosine=True)
    outcome = outcome_of(candidates, rank(candidates, scores))
    assert np.isfinite(outcome.keys).all()
    assert outcome.listed(outcome.order) == ("b", "a")
