"""The order is trec_eval's own, in which every tie has one answer."""

from __future__ import annotations

from array import array

import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.core.order import trec_order, trec_positions

# Few values and short ids, so that ties and common prefixes are frequent.
SCORES = st.sampled_from([0.0, -1.5, 0.5, 0.5 + 1e-9, 2.129133, 2.1291331, 7.0, 1e30]) | st.floats(-50, 50)
LISTS = st.dictionaries(st.text("abZ9é中", min_size=1, max_size=3), SCORES, min_size=1, max_size=12)


def test_higher_scores_come_first() -> None:
    assert trec_order(["a", "b", "c"], [0.1, 0.9, 0.5]) == ("b", "c", "a")


def test_ties_go_to_the_higher_document_id() -> None:
    assert trec_order(["d1", "d3", "d2"], [0.5, 0.5, 0.5]) == ("d3", "d2", "d1")


def test_scores_that_are_equal_in_single_precision_tie() -> None:
    assert trec_order(["b", "a"], [2.129133, 2.1291331]) == ("b", "a")
    assert trec_order(["b", "a"], [2.129133, 2.129134]) == ("a", "b")


def test_ids_compare_by_code_point() -> None:
    assert trec_order(["10", "9", "é", "Z", "中"], [1.0] * 5) == ("中", "é", "Z", "9", "10")


def test_equal_ids_keep_their_order() -> None:
    assert trec_positions(["x", "a", "x"], [1.0, 1.0, 1.0]) == (0, 2, 1)


def test_a_score_that_is_not_a_number_is_an_error_that_names_the_document() -> None:
    with pytest.raises(DataError, match="'b' is NaN"):
        trec_order(["a", "b"], [1.0, float("nan")])


def test_ids_and_scores_must_be_parallel() -> None:
    with pytest.raises(ValueError, match="zip"):
        trec_order(["a", "b"], [1.0])


@given(LISTS)
def test_each_document_has_the_rank_that_trec_eval_gives_it(scores: dict[str, float]) -> None:
    run = dict.fromkeys(scores, scores)
    of_trec_eval = pytrec_eval.RelevanceEvaluator({doc_id: {doc_id: 1} for doc_id in scores}, {"recip_rank"})
    ranks = {doc_id: round(1 / values["recip_rank"]) for doc_id, values in of_trec_eval.evaluate(run).items()}
    order = trec_order(list(scores), list(scores.values()))
    assert {doc_id: rank for rank, doc_id in enumerate(order, 1)} == ranks


@given(LISTS, st.randoms())
def test_the_order_does_not_depend_on_the_order_of_the_input(scores: dict[str, float], random: object) -> None:
    shuffled = list(scores)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    order = trec_order(list(scores), list(scores.values()))
    assert trec_order(shuffled, [scores[doc_id] for doc_id in shuffled]) == order
    singles = array("f", (scores[doc_id] for doc_id in order))
    assert list(singles) == sorted(singles, reverse=True)
