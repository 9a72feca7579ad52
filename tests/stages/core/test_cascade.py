"""What a stage of a cascade is asked: the top of the list that the one before left, with its texts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.cascade import CASCADE, cascade_identity, cascade_name, next_candidates
from stages.core.records import Candidates, PairScore
from stages.core.rerank import rank
from tests.stages.core.test_identity import IDENTITY

LETTERS = tuple("abcdefgh")


def candidates(asked: tuple[str, ...] = LETTERS[:5], tail: tuple[str, ...] = LETTERS[5:]) -> Candidates:
    texts = tuple(f"text of {one}" for one in asked)
    return Candidates("q", "a query", asked, texts, tuple(-float(place) for place in range(len(asked))), tail)


def test_the_next_stage_is_asked_for_the_top_and_the_rest_follows_in_that_order() -> None:
    ranking = rank(candidates(), [PairScore(score) for score in (0.1, 0.5, 0.3, 0.9, 0.2)])
    following = next_candidates(candidates(), ranking, 3)
    assert following.doc_ids == ("d", "b", "c")
    assert following.texts == ("text of d", "text of b", "text of c")
    assert following.scores == (0.9, 0.5, 0.3)
    assert following.tail == ("e", "a", "f", "g", "h")
    assert (following.listed, following.query) == ((), "a query")


def test_what_failed_stands_behind_what_was_scored_and_can_be_asked_again() -> None:
    pairs = [PairScore(None, error="no"), PairScore(0.5), PairScore(None, error="no"), PairScore(0.9), PairScore(0.2)]
    following = next_candidates(candidates(), rank(candidates(), pairs), 4)
    assert following.doc_ids == ("d", "b", "e", "a")
    assert following.scores == (0.9, 0.5, 0.2, -0.8)
    assert following.tail == ("c", "f", "g", "h")


def test_a_candidate_without_a_text_keeps_its_place_and_is_not_asked() -> None:
    some = replace(candidates(("a", "b")), listed=("a", "x", "b"))
    following = next_candidates(some, rank(some, [PairScore(0.1), PairScore(0.2)]), 3)
    assert (following.doc_ids, following.listed) == (("b", "a"), ("b", "a", "x"))
    assert len(following.scores) == len(following.texts) == 2


def test_a_ranking_of_other_documents_and_a_depth_below_what_was_asked_are_told() -> None:
    ranking = rank(candidates(), [PairScore(0.1)] * 5)
    with pytest.raises(ValueError, match="is not one of the candidates"):
        next_candidates(candidates(("a", "b")), ranking, 3)
    with pytest.raises(ValueError, match="is not one of the candidates"):
        next_candidates(candidates(), ranking, 7)


@given(st.lists(st.none() | st.integers(-50, 50).map(float), min_size=1, max_size=8), st.data())
def test_no_document_is_lost_or_moved_but_by_a_stage_that_scored_it(
    scores: list[float | None], data: st.DataObject
) -> None:
    asked = LETTERS[: len(scores)]
    first = candidates(asked, ("y", "z"))
    ranking = rank(first, [PairScore(one, error=None if one is not None else "no") for one in scores])
    depth = data.draw(st.integers(1, len(scores)))
    following = next_candidates(first, ranking, depth)
    assert following.first_stage() == ranking.ordered()
    assert list(following.scores) == sorted(following.scores, reverse=True)
    last = rank(following, [PairScore(float(place)) for place in range(depth)])
    assert last.ordered()[depth:] == ranking.ordered()[depth:]
    assert sorted(last.ordered()) == sorted(first.first_stage())


def test_a_cascade_is_named_by_its_models_without_their_folders() -> None:
    assert cascade_name(["models/small/", "Owner/large", "overlap"]) == "small > large > overlap"


def test_its_identity_changes_with_each_models_and_each_depth() -> None:
    other = replace(IDENTITY, dtype="float32", instruction="else")
    told = [
        cascade_identity([(IDENTITY, 100), (other, 20)]),
        cascade_identity([(IDENTITY, 100), (other, 10)]),
        cascade_identity([(IDENTITY, 100), (IDENTITY, 20)]),
        cascade_identity([(other, 100), (IDENTITY, 20)]),
        cascade_identity([(IDENTITY, None), (other, 20)]),
    ]
    assert len({one.digest for one in told}) == len(told)
    assert {one.family for one in told} == {CASCADE}
    assert told[0].dtype is None and told[2].dtype == IDENTITY.dtype
