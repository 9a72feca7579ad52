"""Bounds are what trying every grade of every open document finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stages.core.records import Judgements
from stages.quality.bounds import bounds, has_bounds
from stages.quality.evaluate import evaluate, warm_up
from stages.quality.measures import SUPPORTED, nearest_metric, parse_metric
from stages.quality.shown import shown
from tests.examples import examples

# Each measure that has bounds, whole and with a cutoff, some with a level that 1 is below.
METRICS = (
    *("ndcg@3", "ndcg", "ndcg@2-l2", "ndcg_burges@3", "dcg@3", "dcg_burges-l2", "mrr@3", "mrr-l2", "map@3", "map"),
    *("map@2-l2", "recall@2", "recall", "recall@3-l2", "precision@3", "precision", "f1@3", "f1", "hit_rate@2"),
    *("hits@3", "hits-l2", "r-precision", "r-precision-l2", "rbp.80"),
)
EXACT = 1e-9


@dataclass(frozen=True)
class Query:
    first: Sequence[str]
    second: Sequence[str]
    grades: Mapping[str, int]
    highest: int


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm_up(METRICS)


@st.composite
def queries(draw: st.DrawFn) -> Query:
    """Lists over up to six documents, of which up to four are open; more grades the fewer these are."""
    ids = [f"d{number}" for number in range(draw(st.integers(1, 6)))]
    first, second = (draw(st.permutations(ids)) for _ in range(2))
    if draw(st.booleans()):
        first, second = first[: draw(st.integers(0, len(ids)))], second[: draw(st.integers(0, len(ids)))]
    open_ = set(draw(st.permutations(ids))[: draw(st.integers(0, 4))])
    highest = draw(st.integers(1, 3 if len(open_) < 4 else 2))
    judged = [
        *(one for one in ids if one not in open_),
        *(f"elsewhere{place}" for place in range(draw(st.integers(0, 2)))),
    ]
    grades = {one: draw(st.integers(-1, highest)) for one in judged}
    return Query(first, second, grades or {"elsewhere": draw(st.integers(0, highest))}, highest)


def tried(query: Query, metric: str) -> np.ndarray:
    """Rows: the first list's value, the second's, the difference; a column for each choice of grades."""
    cutoff = parse_metric(metric).cutoff or None
    seen = {*query.first[:cutoff], *query.second[:cutoff]}
    open_ = sorted(seen - query.grades.keys())
    choices = [dict(zip(open_, one, strict=True)) for one in product(range(query.highest + 1), repeat=len(open_))]
    judgements = Judgements({f"{place:06}": {**query.grades, **one} for place, one in enumerate(choices)})
    values = [
        evaluate(dict.fromkeys(judgements.grades, ranking), judgements, [metric]).values[metric]
        for ranking in (query.first, query.second)
    ]
    return np.array([*values, np.subtract(values[1], values[0])])


@pytest.mark.parametrize("metric", METRICS)
@examples(60)
@given(query=queries())
# One more relevant document below takes from ndcg and map what the plain rule calls their least.
@example(query=Query(["a", "b", "c"], ["c", "b", "a"], {"a": 1}, 1))
# The best grades of ndcg are neither the least nor the highest alone.
@example(query=Query(["a", "b", "c"], ["b", "c", "a"], {"b": 1, "elsewhere0": 3}, 3))
def test_bounds_are_what_the_grades_of_open_documents_can_make_of_a_value(metric: str, query: Query) -> None:
    parsed = parse_metric(metric)
    found = bounds(shown(query.first, query.second, query.grades, query.highest, parsed.cutoff), parsed)
    every = tried(query, metric)
    low, high = every.min(axis=1), every.max(axis=1)
    for side, one in enumerate(found):
        assert one.low <= low[side] + EXACT
        assert one.high >= high[side] - EXACT
    # Of map, and of f1 over whole lists of different lengths, the difference's need not be attained.
    loose = parsed.measure == "map" or (parsed.measure == "f1" and not parsed.cutoff)
    for side, one in enumerate(found[:2] if loose else found):
        assert one.low == pytest.approx(low[side], abs=EXACT)
        assert one.high == pytest.approx(high[side], abs=EXACT)


@pytest.mark.parametrize("metric", METRICS)
@given(query=queries())
def test_the_difference_is_bounded_no_wider_than_the_bounds_of_both_allow(metric: str, query: Query) -> None:
    parsed = parse_metric(metric)
    first, second, difference = bounds(
        shown(query.first, query.second, query.grades, query.highest, parsed.cutoff), parsed
    )
    assert difference.low >= second.low - first.high - EXACT
    assert difference.high <= second.high - first.low + EXACT


def test_a_relevant_document_that_nobody_judged_can_lower_ndcg() -> None:
    """All open documents irrelevant is no lower bound: the perfect list would then have two."""
    query = shown(["a", "b", "c"], ["a", "b", "c"], {"a": 1}, 1, 3)
    found = bounds(query, parse_metric("ndcg@3"))
    ideal = 1 + 1 / np.log2(3)
    assert found.first.low == pytest.approx((1 + 1 / 2) / ideal)
    assert found.first.high == 1
    assert found.difference == (0, 0)


def test_the_same_grade_counts_in_both_lists() -> None:
    """Each list's value may be anything, and yet the second can be no worse."""
    found = bounds(shown(["x", "a"], ["x", "b"], {"a": 0, "b": 1}, 1, 2), parse_metric("precision@2"))
    assert found.first == (0, 0.5)
    assert found.second == (0.5, 1)
    assert found.difference == (0.5, 0.5)


def test_every_measure_has_bounds_but_those_that_look_past_what_is_not_judged() -> None:
    without = [measure for measure in SUPPORTED if not has_bounds(parse_metric(nearest_metric(measure)))]
    assert without == ["bpref", "judged", "answer_recall"]
    with pytest.raises(ValueError, match="bpref has no bounds"):
        bounds(shown(["a"], ["a"], {"b": 1}, 1), parse_metric("bpref"))
    assert {parse_metric(one).measure for one in METRICS} == set(SUPPORTED) - set(without)


def test_long_lists_are_bounded_alike_from_either_side() -> None:
    """Swapped lists have the negated difference; a thousand documents, half of them open."""
    rng = np.random.default_rng(5)
    ids = [f"d{number}" for number in range(1000)]
    grades = {one: int(rng.integers(0, 4)) for one in ids[::2]}
    first, second = (list(rng.permutation(ids)) for _ in range(2))
    for name in METRICS:
        metric = parse_metric(name)
        there = bounds(shown(first, second, grades, 3, metric.cutoff), metric)
        back = bounds(shown(second, first, grades, 3, metric.cutoff), metric)
        assert there.first == pytest.approx(back.second)
        assert there.difference.low == pytest.approx(-back.difference.high)
