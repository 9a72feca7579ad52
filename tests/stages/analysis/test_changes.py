"""How many lists changed in their first places, as sets and in their order."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given

from stages.analysis.changes import PROMPT_SIZES, Changes, Top
from stages.core.records import Candidates, PairScore
from tests.analysis_inputs import Collection, collection, collections, one_query
from tests.examples import examples


def counted(made: Collection, metric: str = "ndcg@3") -> Changes:
    changes = Changes(metric)
    for outcome in made.outcomes:
        changes.add(outcome)
    return changes


def at(changes: Changes, k: int) -> Top:
    return next(top for top in changes.tops if top.k == k)


def five(query_id: str, order: Sequence[int], tail: Sequence[str] = ()) -> tuple[Candidates, tuple[PairScore, ...]]:
    """Documents 0 to 4 of the first stage, reranked into `order`."""
    return one_query(query_id, {f"d{place}": -float(order.index(place)) for place in range(5)}, tail=tail)


def test_sets_and_orders_are_counted_at_each_of_the_places_that_prompts_have() -> None:
    made = collection(
        [five("same", [0, 1, 2, 3, 4]), five("within", [1, 0, 2, 3, 4]), five("into", [3, 0, 1, 2, 4])], {}
    )
    changes = counted(made)
    assert (changes.lists, changes.anywhere, changes.top) == (3, 2, 3)
    assert [top.k for top in changes.tops] == sorted({*PROMPT_SIZES, 3})
    assert at(changes, 1) == Top(1, sets=2, orders=2, could=3)
    assert at(changes, 3) == Top(3, sets=1, orders=2, could=3)
    assert at(changes, 5) == Top(5, sets=0, orders=2, could=0)
    assert changes.words([]) == (
        "Among the first 3 are other documents than before in 1 of 3 lists, and another order in 2."
    )


def test_a_reranker_of_as_many_documents_as_the_metric_looks_at_changes_no_set_and_that_is_said() -> None:
    made = collection([five("a", [4, 3, 2, 1, 0], tail=["t"]), five("b", [1, 0, 2, 3, 4])], {})
    told = counted(made, "ndcg@10").words(["ndcg@10", "recall@10", "recall@3", "precision"])
    assert told == (
        "Reranking could not change which documents are among the first 10: of no query are more than 5 candidates "
        "reranked. Their order changed in 2 of 2 lists. recall@10, precision are what the first stage "
        "made them: no order of these candidates changes them."
    )


def test_of_one_place_what_stands_there_is_all_that_can_change() -> None:
    told = counted(collection([five("a", [4, 0, 1, 2, 3]), five("b", [0, 1, 2, 4, 3])], {}), "ndcg@1").words(["ndcg@1"])
    assert told == "Another document than before is first in 1 of 2 lists."


def test_a_reranker_that_works_behind_the_cut_changes_no_set_and_that_is_said() -> None:
    told = counted(collection([five("a", [0, 1, 2, 4, 3]), five("b", [0, 1, 2, 3, 4])], {})).words(["ndcg@3"])
    assert told == (
        "The first 3 places are the first stage's in all 2 lists: what reranking changed, in 1 of them, lies behind."
    )


def test_lists_that_are_too_short_to_change_are_told_apart() -> None:
    made = collection([five("a", [4, 3, 2, 1, 0]), one_query("b", {"x": 0.0, "y": 1.0})], {})
    assert counted(made).words([]) == (
        "Among the first 3 are other documents than before in 1 of 2 lists (1 have a candidate behind that place), and "
        "another order in 2."
    )


def test_nothing_that_moved_is_one_sentence_and_so_is_no_list() -> None:
    assert counted(collection([five("a", [0, 1, 2, 3, 4])], {})).words(["recall@3"]) == (
        "No list changed: 1 list is in the first stage's order."
    )
    assert Changes("mrr").words([]) == "No query has candidates, so no list could change."


def test_what_failed_moves_behind_what_was_scored() -> None:
    changes = counted(collection([one_query("q", {"a": None, "b": 0.0, "c": 1.0, "d": -1.0})], {}), "mrr@1")
    assert at(changes, 1) == Top(1, sets=1, orders=1, could=1)


@examples(60)
@given(collections())
def test_counts_are_those_of_the_lists_themselves(made: Collection) -> None:
    changes = counted(made)
    lists = [(outcome.first_stage(), outcome.listed(outcome.order.tolist())) for outcome in made.outcomes]
    for top in changes.tops:
        assert top.sets == sum(set(before[: top.k]) != set(after[: top.k]) for before, after in lists)
        assert top.orders == sum(before[: top.k] != after[: top.k] for before, after in lists)
        assert top.sets <= top.could
    assert changes.anywhere == sum(before != after for before, after in lists)
