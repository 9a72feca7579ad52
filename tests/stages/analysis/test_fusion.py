"""Fused lists lie between the two they are made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.analysis.fusion import fuse_ranks, interpolate, reciprocal_rank
from stages.quality.evaluate import warm_up
from tests.analysis_inputs import COMPILED, Collection, collection, collections, one_query
from tests.examples import examples


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm_up(COMPILED)


def test_two_equal_lists_fuse_into_themselves() -> None:
    falling = {f"d{place}": -float(place) for place in range(50)}
    [outcome] = collection([one_query("q", falling, tail=["t"])], {}).outcomes
    assert reciprocal_rank(outcome) == (*falling, "t")
    assert all(interpolate(outcome, tenth / 10) == (*falling, "t") for tenth in range(11))


def test_reciprocal_ranks_are_added_and_equal_sums_go_by_id() -> None:
    # Ranks (first, reranked): a (1, 4), b (2, 1), c (3, 3), d (4, 2): b, then a > d > c by 1 / (60 + rank).
    [outcome] = collection([one_query("q", {"a": 1.0, "b": 4.0, "c": 2.0, "d": 3.0})], {}).outcomes
    assert reciprocal_rank(outcome) == ("b", "a", "d", "c")
    [swapped] = collection([one_query("q", {"a": 1.0, "b": 2.0})], {}).outcomes
    assert reciprocal_rank(swapped) == ("b", "a")


@examples(40)
@given(collections())
def test_weight_one_is_the_reranker_and_weight_zero_the_first_stage(made: Collection) -> None:
    for (candidates, ranking), outcome in zip(made.pairs, made.outcomes, strict=True):
        assert interpolate(outcome, 1.0) == ranking.ordered()
        assert interpolate(outcome, 0.0) == candidates.first_stage()


@examples(40)
@given(collections(), st.floats(0, 1))
def test_a_fused_list_holds_what_the_reranked_one_holds(made: Collection, weight: float) -> None:
    for (_, ranking), outcome in zip(made.pairs, made.outcomes, strict=True):
        for fused in (reciprocal_rank(outcome), interpolate(outcome, weight)):
            assert sorted(fused) == sorted(ranking.ordered())
            assert weight == 0 or fused[len(ranking.doc_ids) :] == ranking.tail


def test_scores_are_scaled_within_the_query_before_they_are_added() -> None:
    # Scaled: first 1, 0.9, 0; reranker 0, 1, 0.5: at 0.5 the sums are 0.5, 0.95, 0.25.
    [outcome] = collection(
        [one_query("q", {"a": -6.0, "b": 6.0, "c": 0.0}, first_scores=[100.0, 91.0, 10.0])], {}
    ).outcomes
    assert interpolate(outcome, 0.5) == ("b", "a", "c")
    assert interpolate(outcome, 0.05) == ("a", "b", "c")


def test_the_fused_lists_are_evaluated_over_all_judged_queries() -> None:
    made = collection([one_query("q", {"a": 1.0, "b": 2.0, "c": 3.0})], {"q": {"a": 1}, "unanswered": {"a": 1}})
    fused = fuse_ranks(made.outcomes, made.judgements, ["mrr"])
    assert fused.query_ids == ("q", "unanswered")
    assert fused.values["mrr"] == (0.5, 0.0)  # a (1, 3) ties with c (3, 1), which goes first; b (2, 2) is last


def test_scores_that_single_precision_cannot_tell_apart_are_equal() -> None:
    made = collection([one_query("q", {"a": 2.1291331, "b": 2.129133, "c": 0.0}, cosine=True)], {})
    assert made.pairs[0][1].doc_ids == ("b", "a", "c")  # by id, as trec_eval has it
    assert interpolate(made.outcomes[0], 1.0) == ("b", "a", "c")
