"""A score that depends on the place of its document is found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from stages.analysis.position import position_check
from stages.core.errors import EngineError
from stages.core.records import PairScore
from stages.core.scoring import OverlapScorer
from tests.analysis_inputs import one_query

QUERIES = [one_query(f"q{number}", dict.fromkeys("abcdefgh", 0.0))[0] for number in range(3)]


class PlaceScorer:
    """Adds to each score a little for its place; fails for document c, and as a whole for the query `fails`."""

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        if query == "fails":
            raise EngineError("the engine died")
        return [
            PairScore(None, error="NaN") if text == "text of c" else PairScore(0.5 + place / 100, place / 10)
            for place, text in enumerate(documents)
        ]


def test_a_scorer_of_single_pairs_gives_the_same_scores() -> None:
    found = asyncio.run(position_check(OverlapScorer(), QUERIES))
    assert (found.queries, found.pairs, found.failed) == (3, 24, 0)
    assert (found.largest, found.largest_logit, found.where) == (0.0, None, None)


def test_a_scorer_that_looks_at_the_place_is_told_apart() -> None:
    found = asyncio.run(position_check(PlaceScorer(), QUERIES))
    assert (found.pairs, found.failed) == (21, 3)
    assert found.largest_logit == pytest.approx(10 * found.largest)
    assert found.largest >= 0.01
    assert found.where is not None
    assert found.where[0] in {"q0", "q1", "q2"}


def test_two_candidates_always_change_places() -> None:
    queries = [one_query(f"q{number}", {"a": 0.0, "b": 0.0})[0] for number in range(5)]
    for query in queries:
        assert asyncio.run(position_check(PlaceScorer(), [query])).largest == pytest.approx(0.01)


def test_a_query_that_fails_as_a_whole_is_counted() -> None:
    found = asyncio.run(position_check(PlaceScorer(), [one_query("q9", {"a": 0.0, "b": 0.0}, query="fails")[0]]))
    assert (found.pairs, found.failed, found.where) == (0, 2, None)


def test_of_a_model_of_whole_lists_it_is_told_that_order_matters_by_design() -> None:
    found = asyncio.run(position_check(PlaceScorer(), QUERIES, listwise=True))
    assert found.listwise and found.largest >= 0.01
    assert not asyncio.run(position_check(PlaceScorer(), QUERIES)).listwise
