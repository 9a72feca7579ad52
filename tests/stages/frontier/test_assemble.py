"""What is told of a frontier: exact values, halves that share no query, and certified depths."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
from hypothesis import given

from stages.core.errors import DataError
from stages.frontier import gains
from stages.frontier.assemble import Wanted, frontier, point_told
from stages.frontier.points import Point, Step
from stages.quality.evaluate import evaluate
from tests.examples import examples
from tests.frontier_inputs import Scored, drawn, scored

WANTED = Wanted(("ndcg@10", "mrr@10"), (2, 5, 10), (0.01, 0.2), 0.95, 0)


def test_a_points_metrics_are_those_of_jobs_one_after_the_other() -> None:
    made = drawn(40, 20)
    told = frontier(made.study(), made.judgements, WANTED)
    for point in told["points"]:
        if point["skipped"] is not None:
            continue
        steps = [Step(ord(step["run"]) - ord("A"), step["depth"]) for step in point["steps"]]
        lists = {one.query_id: made.as_a_job(row, steps) for row, one in enumerate(made.candidates)}
        own = evaluate(lists, made.judgements, ["ndcg@10", "mrr@10"])
        assert point["quality"] == {name: own.mean(name) for name in own.values}


def test_the_cheapest_point_that_is_enough_is_told_against_the_full_rerank_on_other_queries() -> None:
    made = drawn(200, 20)
    told = frontier(made.study(), made.judgements, WANTED)
    points = {point["id"]: point for point in told["points"]}
    assert told["reference"] == "B20"
    assert points["B20"]["difference"] == 0.0 and points["first"]["cost"] == 0.0
    chosen = points[told["chosen"]]
    assert any(len(point["steps"]) == 2 for point in told["points"] if point["on_front"])
    assert chosen["cost"] <= points["B20"]["cost"]
    cascade = next(point for point in told["points"] if len(point["steps"]) == 2 and point["on_front"])
    low, high = cascade["interval"]
    assert low <= cascade["difference"] <= high
    assert told["queries"] == {"all": 200, "judged": 200, "choose": 100, "tell": 100, "seed": 0}
    json.dumps(told, allow_nan=False)


def test_what_cannot_be_certified_says_so_and_what_can_is_a_point() -> None:
    made = drawn(60, 12)
    told = frontier(made.study(), made.judgements, WANTED)["certified"]
    assert [(one["after"], one["run"], one["alpha"]) for one in told] == [
        *((None, "A", 0.01), (None, "A", 0.2), (None, "B", 0.01), (None, "B", 0.2)),
        *(("A12", "B", 0.01), ("A12", "B", 0.2), ("B12", "A", 0.01), ("B12", "A", 0.2)),
    ]
    for one in told:
        assert (one["n"], one["floor"]) == (30, pytest.approx(1 / 31))
        if one["alpha"] < one["floor"]:
            assert one["depth"] is one["bound"] is one["lost"] is None and "told" not in one
        else:
            assert one["bound"] <= one["alpha"]
            assert one["told"]["steps"][-1]["depth"] == one["depth"] <= one["full"]


def test_a_metric_without_bounds_certifies_nothing() -> None:
    made = drawn(20, 8)
    told = frontier(made.study("hits@3"), made.judgements, Wanted(("hits@3",), (2,), (0.2,), 0.95, 0))
    assert told["certified"] == [] and told["points"]


@examples(25)
@given(scored(most=6))
def test_no_point_that_is_told_is_beaten_on_the_queries_that_choose(made: Scored) -> None:
    if len(made.judgements) < 4:
        with pytest.raises(DataError, match="judged quer"):
            frontier(made.study(), made.judgements, WANTED)
        return
    told = frontier(made.study(), made.judgements, WANTED)
    on_front = [point for point in told["points"] if point["on_front"]]
    for one in on_front:
        for other in told["points"]:
            better = other["cost"] <= one["cost"] and other["chosen_on"] >= one["chosen_on"]
            assert not (better and (other["cost"] < one["cost"] or other["chosen_on"] > one["chosen_on"] + 1e-9))


def test_a_quick_value_that_is_not_ranxs_is_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    made = drawn(12, 8)
    study = made.study()
    true = gains.Gains.values
    monkeypatch.setattr(gains.Gains, "values", lambda self, places: true(self, places) * 0.999)
    with pytest.raises(RuntimeError, match="not those of ranx"):
        frontier(study, made.judgements, WANTED)


def test_a_point_by_itself_costs_what_its_own_pairs_do() -> None:
    made = drawn(10, 12)
    told = point_told(made.study(), made.judgements, WANTED, Point((Step(0, 12), Step(1, 5))))
    assert [step["pairs"] for step in told["steps"]] == [120, 50]
    assert told["cost"] == 120 + 500


@pytest.mark.scaled
def test_every_depth_and_every_pair_of_depths_of_300_queries_is_looked_at() -> None:
    made = drawn(300, 100)
    study = made.study()
    began_s = time.process_time()
    table = study.table(range(1, 101))
    print(f"{len(table.points):,} points in {time.process_time() - began_s:.1f} processor seconds")
    assert len(table.points) == 1 + 2 * 100 + 2 * 5050
    assert np.isfinite(table.values).all()
