"""No reordering of the candidates beats the oracle."""

from __future__ import annotations

import pytest
from hypothesis import given

from stages.analysis.oracle import best_order, oracle
from stages.quality.evaluate import warm_up
from tests.analysis_inputs import COMPILED, METRICS, Collection, collection, collections, one_query
from tests.examples import examples


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm_up(COMPILED)


@examples(40)
@given(collections(tails=False))
def test_neither_the_first_stage_nor_the_reranker_beats_it_on_any_query(made: Collection) -> None:
    best = oracle(made.outcomes, made.judgements, made.first, made.reranked)
    for metric in METRICS:
        for system in (made.first, made.reranked):
            assert all(
                most >= value - 1e-12
                for most, value in zip(best.metrics.values[metric], system.values[metric], strict=True)
            )


def test_shares_of_the_headroom_and_the_recall_ceiling() -> None:
    queries = [one_query("p", {"a": 1.0, "b": 2.0}), one_query("q", {"a": 2.0, "b": 1.0}, tail=["c"])]
    made = collection(queries, {"p": {"b": 1}, "q": {"b": 1, "c": 1, "missing": 1}})
    found = oracle(made.outcomes, made.judgements, made.first, made.reranked)
    assert found.headroom["mrr"] == pytest.approx(0.5)
    assert found.gained["mrr"] == pytest.approx(0.5)
    assert found.recall_ceiling == pytest.approx((1 + 1 / 3) / 2)


def test_without_headroom_there_is_no_share() -> None:
    made = collection([one_query("q", {"a": 1.0, "b": 2.0})], {"q": {"a": 1}})
    found = oracle(made.outcomes, made.judgements, made.first, made.reranked)
    assert found.headroom == {"ndcg@3": 0.0, "mrr": 0.0}
    assert found.gained == {"ndcg@3": None, "mrr": None}


def test_grades_order_the_candidates_and_the_tail_stays_below() -> None:
    [outcome] = collection([one_query("q", dict.fromkeys("abcd", 0.0), tail=["t"])], {}).outcomes
    assert best_order(outcome, {"a": -1, "c": 1, "d": 2, "t": 3}) == ("d", "c", "b", "a", "t")
