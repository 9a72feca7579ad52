"""What nothing can score is counted, and a reader is told."""

from __future__ import annotations

import pytest

from stages.core.errors import NothingLeftError
from stages.core.listed import ListCounts, order_in_words
from stages.core.records import Candidates

WHOLE = Candidates("q1", "why", ("a", "b"), ("A", "B"), (2.0, 1.0), ("t",))
WITH_GAPS = Candidates("q2", "who", ("b",), ("B",), (1.0,), listed=("z", "b", "a"))
SILENT = Candidates("q3", "", (), (), (), listed=("a", "b"))
EQUAL = Candidates("q4", "how", ("b", "a"), ("B", "A"), (0.0, 0.0))
ORDER = Candidates("q5", "how", ("a", "b"), ("A", "B"), (-1.0, -2.0), order_only=True)


def counts(*given: Candidates) -> ListCounts:
    found = ListCounts()
    for one in given:
        found.add(one)
    return found


def test_where_every_candidate_can_be_scored_there_is_nothing_to_mind() -> None:
    assert list(counts(WHOLE, ORDER).remarks()) == []
    assert counts(WHOLE) == ListCounts(queries=1, candidates=2, pairs=2)


def test_candidates_without_a_text_and_queries_that_cannot_be_asked_are_told_apart() -> None:
    found = counts(WHOLE, WITH_GAPS, SILENT)
    assert (found.candidates, found.pairs, found.without_text, found.unaskable) == (7, 3, 2, 1)
    assert list(found.remarks()) == [
        "2 of 7 candidates had no text, such as 'z': they stand behind those that were scored, in their old order",
        "1 of 3 queries could not be asked, such as 'q3': their lists stay as they were given",
    ]


def test_a_list_with_one_score_throughout_says_nothing_and_an_order_alone_does() -> None:
    found = counts(WHOLE, EQUAL, ORDER)
    assert (found.one_score, found.order_only) == (1, 1)
    [remark] = found.remarks()
    assert remark == (
        "1 of 3 first-stage lists have one score throughout: their order is by document id, as trec_eval's, and says "
        "nothing of relevance"
    )
    assert (
        order_in_words(found.order_only, found.queries) == "the first stage gives 1 of 3 queries an order and no scores"
    )


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(NothingLeftError, match="no query, or each was set aside"):
        counts().require_pairs()
    with pytest.raises(NothingLeftError, match="no candidate has a text"):
        counts(SILENT).require_pairs()
    counts(SILENT, WHOLE).require_pairs()
