"""Where documents stand after reranking is what `rank` makes of the cut candidates, one stage after another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.records import Judgements
from stages.frontier.assemble import list_of
from stages.frontier.lists import ScoredQuery, lists_of, places_after, relevant_of, rerank
from stages.frontier.points import Step
from tests.examples import examples
from tests.frontier_inputs import Scored, scored


@examples(60)
@given(scored(), st.data())
def test_a_cascades_list_is_what_jobs_one_after_the_other_leave(made: Scored, data: st.DataObject) -> None:
    width = made.lists.width
    first = data.draw(st.integers(1, width + 1))
    steps = [Step(0, first), Step(1, data.draw(st.integers(1, first)))]
    for row, query in enumerate(made.queries):
        for some in (steps[:1], steps[1:], steps):
            assert list_of(query, some) == made.as_a_job(row, some)


@examples(60)
@given(scored(), st.data())
def test_places_are_those_in_the_list_at_every_depth_at_once(made: Scored, data: st.DataObject) -> None:
    lists = made.lists
    first = data.draw(st.integers(1, lists.width))
    relevant = relevant_of(lists, made.judgements, 1)
    places = rerank(lists.first_stage(), lists.ranks[0], first)
    depths = range(1, lists.width + 1)
    found = places_after(places, lists.ranks[1], relevant, depths)
    for column, depth in enumerate(depths):
        for document, (row, judged) in enumerate(zip(relevant.row, relevant.query, strict=True)):
            query = lists.queries[row]
            assert sorted(made.judgements.grades)[judged] == query.query_id
            order = list_of(query, [Step(0, first), Step(1, depth)])
            doc_id = (query.top + query.tail)[relevant.fixed[document]]
            assert order[found[document, column]] == doc_id


@examples(40)
@given(scored(), st.integers(1, 14))
def test_reranking_moves_nothing_below_its_depth(made: Scored, depth: int) -> None:
    lists = made.lists
    before = lists.first_stage()
    after = rerank(before, lists.ranks[0], depth)
    assert np.array_equal(np.sort(after, axis=1), before)
    assert np.array_equal(after[:, depth:], before[:, depth:])


def test_a_ranking_of_other_documents_is_refused() -> None:
    query = ScoredQuery("q", ("a", "b"), (), (2.0, 1.0), (0, 1), (("a", "x"),), ({},))
    with pytest.raises(ValueError, match="documents that are no candidates"):
        lists_of([query])


def test_a_relevant_document_of_the_tail_stands_there_whatever_is_reranked() -> None:
    query = ScoredQuery("q", ("a", "b"), ("t", "u"), (2.0, 1.0), (0, 1), (("b", "a"),), ({},))
    lists = lists_of([query])
    relevant = relevant_of(lists, Judgements({"q": {"u": 1, "b": 2, "z": 1}}), 1)
    found = places_after(lists.first_stage(), lists.ranks[0], relevant, [1, 2])
    assert found.tolist() == [[3, 3], [1, 0]], "by query, then the tail, then the top"
