"""What of a query is judged, and which queries need no judgement."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import ConfigError
from stages.core.records import Judgements
from stages.judging.pool import is_bounded, pool_depth, pooled, seen_by
from stages.quality.evaluate import evaluate

lists = st.lists(st.lists(st.sampled_from("abcdefghij"), unique=True), min_size=1, max_size=4)


def test_the_depth_follows_the_metric() -> None:
    assert pool_depth("ndcg@10", None) == 10
    assert pool_depth("recall@20-l2", None) == 20
    assert pool_depth("ndcg@10", 30) == 30
    assert pool_depth("map", 50) == 50


@pytest.mark.parametrize(
    ("metric", "depth", "told"),
    [
        ("map", None, "has no cutoff"),
        ("ndcg@10", 5, "looks at the first 10"),
        ("judged@10", None, "it measures the judgements"),
        ("ndgc@10", None, "Unknown metric"),
    ],
)
def test_a_depth_that_would_make_another_metric_is_refused(metric: str, depth: int | None, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        pool_depth(metric, depth)


@given(lists, st.integers(1, 10), st.integers(0, 9))
def test_the_pool_is_the_top_of_every_list_once(given_lists: list[list[str]], depth: int, seed: int) -> None:
    found = pooled(given_lists, depth, seed, "q")
    assert len(found) == len(set(found))
    assert set(found) == {doc_id for one in given_lists for doc_id in one[:depth]}


@given(lists, st.randoms())
def test_the_order_of_the_pool_tells_nothing_of_the_lists(given_lists: list[list[str]], rng: object) -> None:
    turned = [one[::-1] for one in given_lists[::-1]]
    assert pooled(given_lists, 10, 3, "q") == pooled(turned, 10, 3, "q")


def test_each_query_and_each_seed_has_an_order_of_its_own() -> None:
    documents = [[f"d{number}" for number in range(20)]]
    orders = {tuple(pooled(documents, 20, seed, query)) for seed in (0, 1) for query in ("q1", "q2")}
    assert len(orders) == 4


@given(
    st.permutations("abcdefgh"),
    st.permutations("abcdefgh"),
    st.dictionaries(st.sampled_from("abcdefghxy"), st.integers(0, 3), min_size=1),
)
def test_where_a_metric_sees_the_same_it_is_the_same_whatever_is_judged(
    before: list[str], after: list[str], grades: dict[str, int]
) -> None:
    after = [*before[:3], *(one for one in after if one not in before[:3])]
    assert seen_by("ndcg@3", before) == seen_by("ndcg@3", after)
    values = [evaluate({"q": one}, Judgements({"q": grades}), ["ndcg@3", "mrr@3"]).values for one in (before, after)]
    assert values[0] == values[1]


def test_without_a_cutoff_the_whole_order_counts() -> None:
    assert seen_by("map", "abc") == "abc"
    assert seen_by("ndcg@2", "abc") == "ab"


def test_a_sum_is_not_bounded() -> None:
    assert is_bounded("ndcg@10") and not is_bounded("dcg@10") and not is_bounded("hits@5")
