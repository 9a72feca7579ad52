"""Scores that do not tell documents apart are counted."""

from __future__ import annotations

import pytest
from hypothesis import given

from stages.analysis.ties import Ties, ties
from tests.analysis_inputs import Collection, collection, collections, one_query
from tests.examples import examples


def test_tied_neighbours_equal_lists_and_saturated_scores() -> None:
    queries = [
        one_query("some", {"a": 1.0, "b": 1.0, "c": 0.0, "d": None}),
        one_query("all", {"a": 30.0, "b": 30.0}),
        one_query("one", {"a": -30.0}),
        one_query("none", {"a": None}),
    ]
    found = ties(collection(queries, {}).outcomes)
    assert found == Ties(tied_neighbours=2 / 3, all_equal_lists=1 / 2, saturated=3 / 6)


def test_logits_that_differ_are_no_tie_though_their_probabilities_are() -> None:
    found = ties(collection([one_query("q", {"a": 40.0, "b": 50.0})], {}).outcomes)
    assert found == Ties(tied_neighbours=0.0, all_equal_lists=0.0, saturated=1.0)


def test_cosines_are_never_saturated() -> None:
    found = ties(collection([one_query("q", {"a": 1.0, "b": 0.0}, cosine=True)], {}).outcomes)
    assert found.saturated is None


def test_nothing_to_count_is_none() -> None:
    assert ties([]) == Ties(None, None, None)


@examples(40)
@given(collections())
def test_tied_neighbours_are_those_of_the_rankings(made: Collection) -> None:
    neighbours = sum(max(len(ranking.doc_ids) - 1, 0) for _, ranking in made.pairs)
    tied = sum(ranking.tied_neighbours for _, ranking in made.pairs)
    assert ties(made.outcomes).tied_neighbours == (pytest.approx(tied / neighbours) if neighbours else None)
