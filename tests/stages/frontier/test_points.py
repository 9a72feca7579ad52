"""Every point is there, with the values and the cost of its lists."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import ConfigError
from stages.frontier.assemble import lists_of_point
from stages.frontier.points import Point, Step, margins, parse_point, thresholds, within
from stages.quality.evaluate import evaluate_stream
from tests.examples import examples
from tests.frontier_inputs import Scored, drawn, scored


def test_of_two_rerankers_each_depth_and_each_ordered_pair_of_falling_depths_is_there() -> None:
    table = drawn(6, 4).study().table([2])
    assert [point.name for point in table.points] == [
        *("first", "A2", "A4", "B2", "B4"),
        *("A2-B2", "A4-B2", "A4-B4", "B2-A2", "B4-A2", "B4-A4"),
    ]


@examples(30)
@given(scored(), st.data())
def test_values_and_costs_are_those_of_the_points_own_lists(made: Scored, data: st.DataObject) -> None:
    study = made.study("ndcg@3")
    table = study.gated(study.table([1, 2, 5]), [Point((Step(0, study.reach[0]),))])
    place = data.draw(st.integers(0, len(table.points) - 1))
    point = table.points[place]
    slow = evaluate_stream(lists_of_point(study, point), made.judgements, ["ndcg@3"])
    assert np.allclose(table.values[:, place], slow.values["ndcg@3"], rtol=0, atol=1e-12)
    pairs = [int((asked & ~study.skips(point)[:, None]).sum()) for asked in study.asked(point.steps)]
    prices = [10.0**step.reranker for step in point.steps]
    assert table.costs[place] == pytest.approx(sum(one * price for one, price in zip(pairs, prices, strict=True)))


@examples(30)
@given(scored())
def test_the_whole_depth_is_the_runs_own_list(made: Scored) -> None:
    study = made.study()
    table = study.table([1])
    whole = table.places()[Point((Step(1, study.reach[1]),)).name]
    own = {ranking.query_id: ranking.ordered() for ranking in made.rankings(1)}
    slow = evaluate_stream(own.items(), made.judgements, ["ndcg@10"])
    assert np.allclose(table.values[:, whole], slow.values["ndcg@10"], rtol=0, atol=1e-12)


def test_a_cascade_reaches_no_deeper_than_both_of_its_runs() -> None:
    study = drawn(5, 6).study()
    study.reach = (6, 3)
    names = [point.name for point in study.table([2, 5]).points]
    assert "A6" in names and "B3" in names
    assert {name for name in names if "-" in name} == {"A2-B2", "A3-B2", "A3-B3", "B2-A2", "B3-A2", "B3-A3"}


def test_depths_end_at_the_reach() -> None:
    assert within([5, 10, 50], 20) == [5, 10, 20]
    assert within([5, 20], 20) == [5, 20]


# --- margins ---


def test_queries_with_the_widest_margins_are_skipped_and_those_without_three_scores_never() -> None:
    found = np.array([5.0, 4.0, 3.0, 2.0, 1.0, -np.inf, -np.inf, -np.inf, -np.inf, -np.inf])
    told = dict(thresholds(found))
    assert told == {10: 4.0, 20: 3.0, 30: 2.0, 40: 1.0}
    for skipped, above in told.items():
        assert (found > above).mean() == pytest.approx(skipped / 100)


def test_a_share_that_ties_do_not_allow_is_left_out() -> None:
    assert thresholds(np.array([1.0] * 9 + [2.0])) == [(10, 1.0)]
    assert thresholds(np.ones(10)) == []


def test_a_margin_is_the_first_less_the_third_score() -> None:
    made = drawn(3, 5)
    assert margins(made.lists).tolist() == [one.scores[0] - one.scores[2] for one in made.candidates]


# --- names ---


@pytest.mark.parametrize("name", ["first", "A3", "B6", "A6-B2", "B4-A4", "A5-skip30", "A4-B2-skip10"])
def test_a_point_is_found_by_its_name(name: str) -> None:
    assert parse_point(name, drawn(20, 6).study()).name == name


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("a3", "write a point as it is listed"),
        ("A3>B2", "write a point as it is listed"),
        ("C3", "there is no run C; the last one given is B"),
        ("A7", "depths fall from 6"),
        ("A0", "depths fall from 6"),
        ("A2-B3", "depths fall from 6"),
        ("A3-A2", "of two different runs"),
        ("A3-skip31", "what can be skipped is 10, 20"),
    ],
)
def test_a_name_that_is_no_point_is_refused(name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_point(name, drawn(20, 6).study())


def test_where_margins_set_no_queries_apart_a_cut_is_refused_with_the_reason() -> None:
    made = drawn(20, 6)
    alike = replace(made, candidates=tuple(replace(one, scores=(1.0,) * 6) for one in made.candidates))
    with pytest.raises(ConfigError, match="no query can be skipped: the first stage's margins are alike"):
        parse_point("A3-skip30", alike.study())
