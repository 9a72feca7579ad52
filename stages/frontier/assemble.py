"""A study -> what is told of it, as JSON takes it: the frontier, and the depths that can be certified.

Every list that is told is evaluated once more by `stages.quality.evaluate`, which gives what a job would; that the
quick values agree with it to a billionth is asserted there and then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.core.records import Judgements, QueryMetrics
from stages.frontier.certified import Certified, certify, losses
from stages.frontier.choice import Halves, enough, front, halves, told
from stages.frontier.lists import Floats, ScoredQuery
from stages.frontier.points import Point, Step, Study, Table, letter
from stages.quality.evaluate import evaluate_stream
from stages.quality.significance import difference_interval

AGREE = 1e-9
MOST_IN_CLOUD = 1500


@dataclass(frozen=True, slots=True)
class Wanted:
    """`metrics` are told of each point, the first one decides. `alphas` are the losses to certify."""

    metrics: Sequence[str]
    depths: Sequence[int]
    alphas: Sequence[float]
    confidence: float
    seed: int


def frontier(study: Study, judgements: Judgements, wanted: Wanted) -> dict[str, Any]:
    """Raises DataError where there are too few judged queries, and what `evaluate_stream` raises."""
    split = halves(study.gains.query_ids, wanted.seed)
    certified = [*_certified(study, split, wanted)] if study.gains.bounded else []
    table = _with_cuts(study, study.table(wanted.depths), split)
    quality = table.values[split.chooses].mean(axis=0)
    places = table.places()
    whole = [places[Point((Step(one, reach),)).name] for one, reach in enumerate(study.reach)]
    reference = max(whole, key=lambda place: quality[place])
    on_front = front(table.costs, quality)
    chosen = enough(on_front, table.costs, quality, quality[0], quality[reference])
    picked = sorted({0, reference, *whole, *on_front}, key=lambda place: (table.costs[place], place))
    telling = _Telling(study, judgements, wanted, split, table.values[:, reference], float(table.costs[reference]))
    points = [
        telling.point(table.points[place], float(table.costs[place]), table.values[:, place])
        | {"on_front": place in on_front, "chosen_on": float(quality[place])}
        for place in picked
    ]
    return {
        "metric": study.gains.name,
        "metrics": list(wanted.metrics),
        "queries": {
            "all": len(study.lists.queries),
            "judged": len(split.chooses),
            "choose": int(split.chooses.sum()),
            "tell": int(split.tells.sum()),
            "seed": split.seed,
        },
        "confidence": wanted.confidence,
        "computed": len(table.points),
        "reference": table.points[reference].name,
        "chosen": None if chosen is None else table.points[chosen].name,
        "points": points,
        "certified": [
            one | {"told": telling.point(point, study.cost(point.steps))} if point else one for one, point in certified
        ],
        "cloud": _cloud(table, split),
    }


def point_told(study: Study, judgements: Judgements, wanted: Wanted, point: Point) -> dict[str, Any]:
    """One point alone, whether it is on the frontier or not: its steps, pairs, cost, and what a job would measure."""
    found = _evaluated(study, judgements, wanted.metrics, point)
    return {
        "id": point.name,
        "steps": _steps(study, point),
        "cost": study.cost(point.steps, ~study.skips(point)),
        "quality": {metric: found.mean(metric) for metric in wanted.metrics},
    }


def lists_of_point(study: Study, point: Point) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each query's list, best first, as a job would leave it."""
    for query, skipped in zip(study.lists.queries, study.skips(point).tolist(), strict=True):
        yield query.query_id, list_of(query, () if skipped else point.steps)


def list_of(query: ScoredQuery, steps: Sequence[Step]) -> tuple[str, ...]:
    """One query's list after these steps."""
    order = query.top
    for step in steps:
        order = query.reranked(order, step.reranker, step.depth)
    return order + query.tail


@dataclass(frozen=True, slots=True, eq=False)
class _Telling:
    """What is told of a point, held against `reference` (judged queries,), which costs `full`."""

    study: Study
    judgements: Judgements
    wanted: Wanted
    split: Halves
    reference: Floats
    full: float

    def point(self, point: Point, cost: float, quick: Floats | None = None) -> dict[str, Any]:
        found = _evaluated(self.study, self.judgements, self.wanted.metrics, point)
        values = np.array(found.values[self.wanted.metrics[0]])
        if quick is not None and not np.allclose(values, quick, rtol=0, atol=AGREE):
            name = self.study.gains.name
            raise RuntimeError(f"{point.name}: the quick values of {name} are not those of ranx: a bug")
        one = told(values, self.reference, self.split.tells, self.wanted.confidence)
        return {
            "id": point.name,
            "steps": _steps(self.study, point),
            "skipped": point.skipped,
            "above": point.above,
            "cost": cost,
            "cost_share": cost / self.full if self.full else None,
            "quality": {metric: found.mean(metric) for metric in self.wanted.metrics},
            "mean": one.mean,
            "difference": one.difference,
            "interval": list(one.interval) if one.interval else None,
        }


def _steps(study: Study, point: Point) -> list[dict[str, Any]]:
    rows = ~study.skips(point)
    return [
        {"run": letter(step.reranker), "depth": step.depth, "pairs": int((asked & rows[:, None]).sum())}
        for step, asked in zip(point.steps, study.asked(point.steps), strict=True)
    ]


def _evaluated(study: Study, judgements: Judgements, metrics: Sequence[str], point: Point) -> QueryMetrics:
    return evaluate_stream(lists_of_point(study, point), judgements, metrics)


def _with_cuts(study: Study, table: Table, split: Halves) -> Table:
    """And the cuts by margin: of each reranker alone, and of what else is on the frontier without them."""
    if not study.has_margins:
        return table
    on_front = front(table.costs, table.values[split.chooses].mean(axis=0))
    points = [point for point in table.points if len(point.steps) == 1]
    points += [table.points[place] for place in on_front if len(table.points[place].steps) > 1]
    return study.gated(table, points)


def _certified(study: Study, split: Halves, wanted: Wanted) -> Iterator[tuple[dict[str, Any], Point | None]]:
    """Of each reranker alone, and of each after the whole of another: what can be certified at each alpha."""
    rerankers = range(len(study.reach))
    families: list[tuple[tuple[Step, ...], int, int]] = [((), one, study.reach[one]) for one in rerankers]
    for one in rerankers:
        for other in rerankers:
            if one != other:
                deepest = min(study.reach[one], study.reach[other])
                families.append(((Step(one, deepest),), other, deepest))
    for before, reranker, deepest in families:
        lost = losses(study.curve(before, reranker, deepest))
        for alpha in wanted.alphas:
            found = certify(lost[split.chooses], alpha)
            steps = (*before, Step(reranker, found.depth)) if found.depth else None
            point = Point(steps) if steps else None
            yield _told_certified(found, before, reranker, deepest, lost[split.tells], wanted), point


def _told_certified(
    found: Certified, before: Sequence[Step], reranker: int, deepest: int, lost: Floats, wanted: Wanted
) -> dict[str, Any]:
    here = lost[:, found.depth - 1] if found.depth else None
    interval = None if here is None else difference_interval(here.copy(), wanted.confidence)
    return {
        "after": before[0].name if before else None,
        "run": letter(reranker),
        "full": deepest,
        "alpha": found.alpha,
        "n": found.n,
        "floor": found.floor,
        "depth": found.depth,
        "bound": found.bound,
        "lost": None if here is None else float(here.mean()),
        "lost_interval": list(interval) if interval else None,
    }


def _cloud(table: Table, split: Halves) -> list[list[float]]:
    """Cost and quality, on the queries that tell, of all points, or of evenly many."""
    quality = table.values[split.tells].mean(axis=0)
    every = max(-(-len(table.points) // MOST_IN_CLOUD), 1)
    return [[float(table.costs[place]), float(quality[place])] for place in range(0, len(table.points), every)]
