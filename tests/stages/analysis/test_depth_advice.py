"""The advice names the depth, its gain, whether that is more than chance, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from stages.analysis.depth import DepthAdvice, DepthCurve, DepthPoint, advise, places
from stages.core.records import QueryMetrics
from stages.quality.significance import holm, paired_p

QUERIES = 12
FIRST = 0.2


def metrics(metric: str, value: float, queries: int) -> QueryMetrics:
    return QueryMetrics(
        tuple(f"q{number}" for number in range(queries)), {metric: (value,) * queries}, (True,) * queries
    )


def advice(by_depth: Mapping[int, float], metric: str = "ndcg@3", queries: int = QUERIES) -> DepthAdvice:
    """What is advised where every query has the same value at a depth, and FIRST in the first stage."""
    points = [
        DepthPoint(depth, depth * queries, {metric: value}, {metric: value - FIRST}, metrics(metric, value, queries))
        for depth, value in by_depth.items()
    ]
    return advise(DepthCurve(tuple(points)), metrics(metric, FIRST, queries), metric)


@pytest.mark.parametrize(
    ("metric", "looked_at"), [("ndcg@10", 10), ("recall@1000", 1000), ("map@5-l2", 5), ("mrr", 1), ("rbp.95", 1)]
)
def test_a_metric_looks_at_as_many_places_as_its_cutoff(metric: str, looked_at: int) -> None:
    assert places(metric) == looked_at


def test_words_name_the_depth_its_gain_and_that_it_is_significant() -> None:
    found = advice({1: 0.2, 3: 0.3, 10: 0.5})
    # All 12 queries gain: 2 of 4096 signs are as far. Holm multiplies the smallest of three by 3.
    assert found.corrected_p == pytest.approx({1: 1.0, 3: 6 / 4096, 10: 6 / 4096})
    assert (found.best, found.enough) == (10, 10)
    assert found.words == (
        "Depth 10 is best here: ndcg@3 0.5000 against 0.2000 of the first stage. "
        "The change of +0.3000 is significant (p = 0.00146, corrected for 3 depths)."
    )


def test_a_gain_on_few_queries_is_told_as_chance() -> None:
    found = advice({1: 0.2, 3: 0.5}, queries=4)
    assert found.best == 3
    assert "is not significant: it cannot be told from chance (p = 0.25, corrected for 2 depths)." in found.words


def test_a_tiny_p_is_not_spelled_out() -> None:
    assert "is significant (p < 0.001, corrected for 1 depth)" in advice({3: 0.5}, queries=40).words


def test_the_depth_that_has_nearly_all_of_the_gain_is_named_with_the_pairs_it_saves() -> None:
    found = advice({1: 0.2, 3: 0.3, 5: 0.48, 100: 0.5})
    assert (found.best, found.enough) == (100, 5)
    assert found.words.endswith("The top 5 already have 90% of that gain, for 60 pairs instead of 1,200.")


def test_one_document_has_and_several_have() -> None:
    assert advice({1: 0.5, 2: 0.501}, metric="mrr").words.endswith(
        "The top 1 already has 90% of that gain, for 12 pairs instead of 24."
    )


def test_fewer_documents_than_places_are_no_answer_but_are_told_where_they_score_more() -> None:
    found = advice({2: 0.6, 3: 0.4, 10: 0.5})
    assert (found.best, found.enough) == (10, 10)
    assert (
        "Reranking the top 2 alone scores more, 0.6000, and leaves the rest of the first stage's order" in found.words
    )
    assert "already" not in found.words


def test_where_only_fewer_documents_than_places_gain_no_depth_is_named() -> None:
    found = advice({2: 0.6, 3: 0.2, 10: 0.1})
    assert (found.best, found.enough) == (None, None)
    assert found.words == ("No depth of 3 or more gains in ndcg@3; reranking the top 2 alone gives 0.6000 (+0.4000).")


def test_a_run_that_is_shallower_than_the_metric_is_judged_by_all_it_reranked() -> None:
    found = advice({1: 0.2, 2: 0.6, 5: 0.5}, metric="ndcg@10")
    assert found.best == 5
    assert found.words.startswith("Depth 5 is best here: ndcg@10 0.5000 against 0.2000 of the first stage.")
    assert "Reranking the top 2 alone scores more, 0.6000" in found.words


def test_without_a_gain_the_first_stage_is_best() -> None:
    found = advice({1: 0.2, 3: 0.1, 10: 0.2})
    assert (found.best, found.enough) == (None, None)
    assert found.words == "No depth gains in ndcg@3: the first stage's own order is the best of these."


def test_without_candidates_there_is_no_depth() -> None:
    assert advice({}) == DepthAdvice(None, None, {}, "No query has candidates.")


def test_p_values_are_those_of_the_seed_and_the_level_decides() -> None:
    first = QueryMetrics(tuple("abcdefghijklmnopqrstu"), {"mrr": (0.5,) * 21}, (True,) * 21)
    after = QueryMetrics(first.query_ids, {"mrr": (0.9,) * 14 + (0.2,) * 7}, first.answered)
    curve = DepthCurve((DepthPoint(4, 84, {"mrr": after.mean("mrr")}, {"mrr": after.mean("mrr") - 0.5}, after),))
    p = paired_p(first.values["mrr"], after.values["mrr"], seed=7)
    assert advise(curve, first, "mrr", seed=7).corrected_p == holm({4: p})
    assert "not significant" in advise(curve, first, "mrr", seed=7, alpha=p).words
    assert "not significant" not in advise(curve, first, "mrr", seed=7, alpha=p * 1.001).words
