"""The weight of a query is never chosen on the query itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.analysis.fusion import WEIGHTS, assign_folds, interpolate, interpolation
from stages.core.records import Judgements
from stages.quality.evaluate import evaluate, warm_up
from tests.analysis_inputs import COMPILED, METRICS, Collection, collection, collections, one_query
from tests.examples import examples


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm_up(COMPILED)


def opposed(queries: int = 20) -> Collection:
    """The reranker is right for all queries but the first, for which only the first stage is."""
    made = [one_query(f"q{number:02}", {"a": 0.0, "b": 1.0}) for number in range(queries)]
    return collection(made, {f"q{number:02}": {"b" if number else "a": 1} for number in range(queries)})


@examples(15)
@given(collections(most=12))
def test_each_query_has_its_value_at_the_weight_of_its_fold(made: Collection) -> None:
    found = interpolation(made.outcomes, made.judgements, METRICS)
    if found is None:
        assert len(made.judgements) < 2
        return
    lists = {o.query_id: interpolate(o, found.weights[found.fold_of[o.query_id]]) for o in made.outcomes}
    assert evaluate(lists, made.judgements, METRICS) == found.metrics


@examples(15)
@given(collections(most=12), st.data())
def test_a_fold_s_own_judgements_do_not_change_its_weight(made: Collection, data: st.DataObject) -> None:
    before = interpolation(made.outcomes, made.judgements, METRICS)
    if before is None:
        return
    fold = data.draw(st.integers(0, len(before.weights) - 1))
    turned = {
        query_id: {f"d{place}": place for place in range(12)} if before.fold_of[query_id] == fold else grades
        for query_id, grades in made.judgements.grades.items()
    }
    after = interpolation(made.outcomes, Judgements(turned), METRICS)
    assert after is not None
    assert after.weights[fold] == before.weights[fold]


def test_the_best_weight_of_the_other_folds_is_taken_and_the_sweep_shows_all() -> None:
    made = opposed()
    found = interpolation(made.outcomes, made.judgements, METRICS)
    assert found is not None
    assert found.weights == (1.0,) * 5
    assert found.metrics.values["mrr"] == (0.5,) + (1.0,) * 19
    assert tuple(found.sweep) == WEIGHTS
    assert found.sweep[0.0]["mrr"] == pytest.approx(made.first.mean("mrr"))
    assert found.sweep[1.0]["mrr"] == pytest.approx(made.reranked.mean("mrr"))
    assert found.chosen_by == "ndcg@3"


def test_folds_depend_on_ids_and_seed_only_and_are_even() -> None:
    ids = [f"q{number}" for number in range(23)]
    folds = assign_folds(ids, 5, seed=1)
    assert folds == assign_folds(ids[::-1], 5, seed=1)
    assert folds != assign_folds(ids, 5, seed=2)
    assert sorted(Counter(folds.values()).values()) == [4, 4, 5, 5, 5]


def test_the_order_of_the_queries_changes_nothing() -> None:
    made = opposed()
    turned = replace(made, candidates=made.candidates[::-1], scores=made.scores[::-1])
    forward, backward = (interpolation(each.outcomes, each.judgements, METRICS) for each in (made, turned))
    assert forward == backward


def test_one_query_cannot_be_cross_validated() -> None:
    made = opposed(queries=1)
    assert interpolation(made.outcomes, made.judgements, METRICS) is None


def test_two_queries_can() -> None:
    made = opposed(queries=2)
    found = interpolation(made.outcomes, made.judgements, ["mrr"])
    assert found is not None
    assert found.metrics.values["mrr"] == (0.5, 0.5)  # each at the weight that the other one needs
