"""The depth curve is what reranking fewer candidates would have given."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from stages.analysis.depth import DepthCurve, DepthPoint, at_depth, depth_curve
from stages.core.errors import ConfigError
from stages.core.records import QueryMetrics
from stages.core.rerank import rank
from stages.quality.evaluate import warm_up
from tests.analysis_inputs import COMPILED, METRICS, Collection, collection, collections, one_query
from tests.examples import examples


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    warm_up(COMPILED)


@examples(40)
@given(collections())
def test_each_depth_is_what_reranking_the_cut_candidates_gives(made: Collection) -> None:
    for candidates, scores, outcome in zip(made.candidates, made.scores, made.outcomes, strict=True):
        for depth in range(1, len(candidates.top) + 2):
            top = candidates.top[:depth]
            asked = sum(doc_id in top for doc_id in candidates.doc_ids)
            cut = replace(
                candidates,
                doc_ids=candidates.doc_ids[:asked],
                texts=candidates.texts[:asked],
                scores=candidates.scores[:asked],
                tail=candidates.top[depth:] + candidates.tail,
                listed=top if asked < len(top) else (),
            )
            assert at_depth(outcome, depth) == rank(cut, scores[:asked]).ordered()


@examples(25)
@given(collections())
def test_the_deepest_point_is_the_run_itself(made: Collection) -> None:
    if not any(made.scores):
        assert depth_curve(made.outcomes, made.judgements, made.first).points == ()
        return
    last = depth_curve(made.outcomes, made.judgements, made.first).points[-1]
    assert last.means == pytest.approx({metric: made.reranked.mean(metric) for metric in METRICS})
    assert last.pairs == sum(len(of_query) for of_query in made.scores)


@examples(25)
@given(collections(failures=False))
def test_a_depth_of_one_gains_nothing(made: Collection) -> None:
    point = depth_curve(made.outcomes, made.judgements, made.first).points[0]
    assert point.depth == 1
    assert point.gains == dict.fromkeys(METRICS, 0.0)


def test_what_failed_below_the_depth_would_not_have_been_scored_and_keeps_its_place() -> None:
    [outcome] = collection([one_query("q", {"a": 1.0, "b": 2.0, "c": None, "d": 3.0}, tail=["t"])], {}).outcomes
    assert at_depth(outcome, 2) == ("b", "a", "c", "d", "t")
    assert at_depth(outcome, 3) == ("b", "a", "c", "d", "t")
    assert at_depth(outcome, 4) == ("d", "b", "a", "c", "t")


def test_a_query_whose_top_failed_keeps_its_list_at_that_depth() -> None:
    [outcome] = collection([one_query("q", {"a": None, "b": 2.0})], {}).outcomes
    assert at_depth(outcome, 1) == ("a", "b")
    assert at_depth(outcome, 2) == ("b", "a")


def test_what_has_no_text_costs_no_pair() -> None:
    made = collection([one_query("p", {"a": 1.0, "b": 2.0, "c": 3.0}, without_text=["b"])], {"p": {"c": 1}})
    curve = depth_curve(made.outcomes, made.judgements, made.first)
    assert [(point.depth, point.pairs) for point in curve.points] == [(1, 1), (2, 1), (3, 2)]


def test_pairs_and_depths_end_where_the_candidates_do() -> None:
    queries = [one_query("p", {"a": 1.0, "b": 2.0}), one_query("q", dict.fromkeys("abcdefg", 1.0))]
    made = collection(queries, {"p": {"b": 1}, "q": {"a": 1}})
    curve = depth_curve(made.outcomes, made.judgements, made.first)
    assert [(point.depth, point.pairs) for point in curve.points] == [(1, 2), (2, 4), (3, 5), (5, 7), (7, 9)]


def curve_of(*gains: float) -> DepthCurve:
    return DepthCurve(
        tuple(
            DepthPoint(place, 10 * place, {"mrr": gain}, {"mrr": gain}, QueryMetrics((), {}, ()))
            for place, gain in enumerate(gains, start=1)
        )
    )


@pytest.mark.parametrize(
    ("gains", "enough", "best"),
    [
        ((0.0, 0.05, 0.09, 0.1), 3, 4),
        ((0.0, 0.1, 0.2, 0.01), 3, 3),
        ((0.0, 0.1, -0.2), 2, 2),
        ((0.0, -0.1, 0.0), None, None),
        ((), None, None),
    ],
)
def test_enough_is_the_least_depth_with_nine_tenths_of_the_best_gain(
    gains: tuple[float, ...], enough: int | None, best: int | None
) -> None:
    found = curve_of(*gains)
    points = (found.enough("mrr"), found.best("mrr"))
    assert tuple(point and point.depth for point in points) == (enough, best)


def test_a_depth_below_one_is_refused() -> None:
    made = collection([one_query("q", {"a": 1.0})], {"q": {"a": 1}})
    with pytest.raises(ConfigError, match="from 1 on"):
        depth_curve(made.outcomes, made.judgements, made.first, depths=[0, 10])
