"""The queries that moved most are shown with what moved."""

from __future__ import annotations

import pytest
from hypothesis import given

from stages.analysis.movers import movers
from stages.quality.evaluate import warm_up
from tests.analysis_inputs import COMPILED, Collection, collection, collections, one_query
from tests.examples import examples


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm_up(COMPILED)


def test_winners_and_losers_come_with_their_texts_and_documents() -> None:
    queries = [
        one_query("won", {"a": 0.0, "b": 1.0, "c": 2.0}, query="who wins?"),
        one_query("lost", {"a": None, "b": 1.0}, query="who loses?"),
        one_query("same", {"a": 2.0, "b": 1.0}),
    ]
    made = collection(queries, {"won": {"c": 2, "b": 0}, "lost": {"a": 1}, "same": {"a": 1}})
    found = movers(made.pairs, made.judgements, made.first, made.reranked, "mrr")
    [won], [lost] = found.won, found.lost
    assert (won.query, won.first_stage, won.reranked) == ("who wins?", pytest.approx(1 / 3), 1.0)
    assert [(d.doc_id, d.grade, d.old_rank, d.new_rank) for d in won.documents] == [("c", 2, 3, 1), ("a", None, 1, 3)]
    assert won.documents[0].score == pytest.approx(0.8808, abs=1e-4)
    assert won.documents[0].excerpt == "text of c"
    assert (lost.query, lost.first_stage, lost.reranked) == ("who loses?", 1.0, 0.5)
    assert next((d.doc_id, d.grade, d.new_rank, d.score) for d in lost.documents) == ("a", 1, 2, None)


def test_a_document_without_a_text_is_shown_with_its_places_and_no_excerpt() -> None:
    queries = [one_query("q", {"a": 9.0, "b": 1.0}, without_text=["a"])]
    made = collection(queries, {"q": {"a": 1}})
    [lost] = movers(made.pairs, made.judgements, made.first, made.reranked, "mrr").lost
    [one, _] = lost.documents
    assert (one.doc_id, one.old_rank, one.new_rank, one.score, one.excerpt) == ("a", 1, 2, None, "")


def test_a_document_far_down_is_shown_only_where_it_is_relevant() -> None:
    down = {f"d{place:02}": -float(place) for place in range(30)}
    queries = [one_query("q", down | {"d20": -21.5, "d21": -18.5, "d29": 1.0})]
    made = collection(queries, {"q": {"d29": 1, "d21": 1}})
    [won] = movers(made.pairs, made.judgements, made.first, made.reranked, "mrr").won
    assert [document.doc_id for document in won.documents[:3]] == ["d29", "d21", "d00"]
    assert "d20" not in {document.doc_id for document in won.documents}


@examples(25)
@given(collections(most=8))
def test_the_largest_differences_are_shown_first(made: Collection) -> None:
    found = movers(made.pairs, made.judgements, made.first, made.reranked, "mrr")
    changes = [
        after - before for before, after in zip(made.first.values["mrr"], made.reranked.values["mrr"], strict=True)
    ]
    assert [one.reranked - one.first_stage for one in found.won] == sorted((c for c in changes if c > 0), reverse=True)
    assert [one.reranked - one.first_stage for one in found.lost] == sorted(c for c in changes if c < 0)


@pytest.mark.parametrize("side", ["won", "lost"])
def test_of_many_that_moved_only_the_ten_that_moved_most_are_shown(side: str) -> None:
    """The relevant document of `qN` moves between rank 1 and rank N."""
    queries = []
    for last in range(2, 14):
        falling = {f"d{place}": -float(place) for place in range(last)}
        to_the_end, to_the_top = {"d0": -50.0}, {f"d{last - 1}": 50.0}
        queries.append(one_query(f"q{last}", falling | (to_the_top if side == "won" else to_the_end)))
    relevant = {f"q{last}": {f"d{last - 1}" if side == "won" else "d0": 1} for last in range(2, 14)}
    made = collection(queries, relevant)
    found = movers(made.pairs, made.judgements, made.first, made.reranked, "mrr")
    shown, others = (found.won, found.lost) if side == "won" else (found.lost, found.won)
    assert [one.query_id for one in shown] == [f"q{last}" for last in range(13, 3, -1)]
    assert others == ()
