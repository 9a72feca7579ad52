"""Every way to rerank with what is stored: one reranker to a depth, one after another, or none where the first stage is
sure of itself. What each gives, and what it costs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from stages.core.errors import ConfigError
from stages.frontier.cost import Cost
from stages.frontier.gains import Gains
from stages.frontier.lists import Floats, Ints, Lists, Mask, places_after, rerank

# Skipped are the queries whose first and third score lie farthest apart, so many of a hundred.
SKIPPED = tuple(range(10, 100, 10))
FIRST_STAGE = "first"
_NAME = re.compile(r"(?P<steps>[A-Z]\d+(-[A-Z]\d+)*)(-skip(?P<skipped>\d+))?")
_STEP = re.compile(r"([A-Z])(\d+)")


class Step(NamedTuple):
    """A reranker, by its place among those given, and how much of the list before it reranks."""

    reranker: int
    depth: int

    @property
    def name(self) -> str:
        return f"{letter(self.reranker)}{self.depth}"


@dataclass(frozen=True, slots=True)
class Point:
    """Steps, one after the other; none is the first stage as it is. With `skipped` they are left out for so many of a
    hundred queries: those whose margin (first less third first-stage score) is above `above`.
    """

    steps: tuple[Step, ...]
    skipped: int | None = None
    above: float | None = None

    @property
    def name(self) -> str:
        """`A50`: reranker A's top 50. `A100-B20`: then B's top 20 of that. `A50-skip30`: for 70 of 100 queries."""
        steps = "-".join(step.name for step in self.steps) or FIRST_STAGE
        return steps if self.skipped is None else f"{steps}-skip{self.skipped}"


def letter(reranker: int) -> str:
    """A, B, C ... by place; 26 at most."""
    return chr(ord("A") + reranker)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Points with their `values` (judged queries, points) and `costs` (points,)."""

    points: tuple[Point, ...]
    values: Floats
    costs: Floats

    def places(self) -> dict[str, int]:
        """Where each stands, by name."""
        return {point.name: place for place, point in enumerate(self.points)}


class Study:
    """The lists, the metric that decides, and for each reranker its cost and `reach`, the depth that it scored to."""

    def __init__(self, lists: Lists, gains: Gains, costs: Sequence[Cost], reach: Sequence[int]) -> None:
        self.lists, self.gains = lists, gains
        self.costs, self.reach = tuple(costs), tuple(reach)
        self._margins = margins(lists)

    @property
    def has_margins(self) -> bool:
        """Whether any query has one."""
        return bool(np.isfinite(self._margins).any())

    def table(self, depths: Sequence[int]) -> Table:
        """The first stage; each reranker to each depth within its reach; each ordered pair of rerankers, the second to
        no more than the first.
        """
        parts = [_Part([Point(())], self._unranked(), [0.0])]
        rerankers = range(len(self.costs))
        parts += [self._alone(one, depths) for one in rerankers]
        parts += [
            self._pair(one, other, first, depths)
            for one in rerankers
            for other in rerankers
            if one != other
            for first in within(depths, min(self.reach[one], self.reach[other]))
        ]
        return _joined(parts)

    def gated(self, table: Table, points: Sequence[Point]) -> Table:
        """Some points of the table, left out for each share of queries in SKIPPED."""
        place, first = table.places(), table.values[:, 0]
        rows = {query.query_id: row for row, query in enumerate(self.lists.queries)}
        judged = np.array([rows.get(query_id, -1) for query_id in self.gains.query_ids])
        made = []
        for point in points:
            for skipped, above in thresholds(self._margins):
                skips = self._margins > above
                left = np.where(skips[judged] & (judged >= 0), first, table.values[:, place[point.name]])
                cost = self.cost(point.steps, ~skips)
                made.append(_Part([Point(point.steps, skipped, above)], left[:, None], [cost]))
        return _joined([_Part(list(table.points), table.values, table.costs.tolist()), *made])

    def curve(self, steps: Sequence[Step], reranker: int, deepest: int) -> Floats:
        """(judged queries, deepest): after these steps the reranker's top d, for each d from 1 on."""
        return self._values(self._after(steps), reranker, range(1, deepest + 1))

    def cost(self, steps: Sequence[Step], rows: Mask | None = None) -> float:
        """Of these steps over all queries, judged or not, or over those that `rows` (queries,) has."""
        return sum(
            self.costs[step.reranker].of(asked if rows is None else asked & rows[:, None])
            for step, asked in zip(steps, self.asked(steps), strict=True)
        )

    def asked(self, steps: Sequence[Step]) -> list[Mask]:
        """The pairs that each step asks for."""
        return [(self._after(steps[:done]) < step.depth) & self.lists.asked for done, step in enumerate(steps)]

    def skips(self, point: Point) -> Mask:
        """The queries (queries,) for which the point reranks nothing."""
        return np.zeros(len(self._margins), dtype=bool) if point.above is None else self._margins > point.above

    def _after(self, steps: Sequence[Step]) -> Ints:
        places = self.lists.first_stage()
        for step in steps:
            places = rerank(places, self.lists.ranks[step.reranker], step.depth)
        return places

    def _values(self, places: Ints, reranker: int, depths: Sequence[int]) -> Floats:
        return self.gains.values(places_after(places, self.lists.ranks[reranker], self.gains.relevant, depths))

    def _unranked(self) -> Floats:
        relevant = self.gains.relevant
        return self.gains.values(np.where(relevant.column < 0, relevant.fixed, relevant.column)[:, None])

    def _alone(self, reranker: int, depths: Sequence[int]) -> _Part:
        reached = within(depths, self.reach[reranker])
        points = [Point((Step(reranker, depth),)) for depth in reached]
        values = self._values(self.lists.first_stage(), reranker, reached)
        return _Part(points, values, [self.cost(point.steps) for point in points])

    def _pair(self, one: int, other: int, first: int, depths: Sequence[int]) -> _Part:
        """Of one reranker's top `first` the other's top, to each depth."""
        before = Step(one, first)
        places, reached = self._after([before]), within(depths, first)
        spent = self.cost([before])
        asked = [(places < depth) & self.lists.asked for depth in reached]
        return _Part(
            [Point((before, Step(other, depth))) for depth in reached],
            self._values(places, other, reached),
            [spent + self.costs[other].of(pairs) for pairs in asked],
        )


class _Part(NamedTuple):
    points: list[Point]
    values: Floats
    costs: list[float]


def _joined(parts: Sequence[_Part]) -> Table:
    points = tuple(point for part in parts for point in part.points)
    values = np.concatenate([part.values for part in parts], axis=1)
    return Table(points, values, np.array([cost for part in parts for cost in part.costs]))


def within(depths: Sequence[int], reach: int) -> list[int]:
    """Those of the depths that are less, and the reach itself."""
    return sorted({depth for depth in depths if depth < reach} | {reach})


def margins(lists: Lists) -> Floats:
    """(queries,): the first less the third score of the first stage; -inf where there are no three, so that such a
    query is never skipped.
    """
    return np.array(
        [
            query.first_scores[0] - query.first_scores[2] if len(query.first_scores) > 2 else -np.inf
            for query in lists.queries
        ]
    )


def thresholds(found: Floats) -> list[tuple[int, float]]:
    """Shares of a hundred queries to skip, each with the margin above which a query is; judgements play no part. Shares
    that ties do not allow are left out.
    """
    known = np.sort(found[np.isfinite(found)])[::-1]
    told: dict[int, float] = {}
    for share in SKIPPED:
        place = round(share * len(found) / 100)
        if 0 < place < len(known):
            above = float(known[place])
            if (skipped := round(100 * float((found > above).mean()))) > 0:
                told.setdefault(skipped, above)
    return list(told.items())


def parse_point(name: str, study: Study) -> Point:
    """A point by its name, at any depth within reach. Raises ConfigError."""
    if name == FIRST_STAGE:
        return Point(())
    found = _NAME.fullmatch(name)
    if found is None:
        raise ConfigError(f"--point {name}: write a point as it is listed: A50, A100-B20, A50-skip30 or first")
    steps = tuple(Step(ord(one) - ord("A"), int(depth)) for one, depth in _STEP.findall(found["steps"]))
    _check_steps(name, steps, study)
    if found["skipped"] is None:
        return Point(steps)
    skipped = int(found["skipped"])
    gates = dict(thresholds(margins(study.lists)))
    if skipped not in gates:
        some = f"what can be skipped is {', '.join(map(str, gates))} of 100"
        none = "no query can be skipped: the first stage's margins are alike, or it gives no scores"
        raise ConfigError(f"--point {name}: {some if gates else none}")
    return Point(steps, skipped, gates[skipped])


def _check_steps(name: str, steps: Sequence[Step], study: Study) -> None:
    used = [step.reranker for step in steps]
    if unknown := [letter(one) for one in used if one >= len(study.reach)]:
        raise ConfigError(
            f"--point {name}: there is no run {unknown[0]}; the last one given is {letter(len(study.reach) - 1)}"
        )
    reach = min(study.reach[one] for one in used)
    if len(set(used)) < len(used) or len(used) > 2:
        raise ConfigError(f"--point {name}: a cascade is of two different runs")
    depths = [step.depth for step in steps]
    if depths != sorted(depths, reverse=True) or depths[0] > reach or depths[-1] < 1:
        raise ConfigError(f"--point {name}: depths fall from {reach}, as deep as was scored, to 1")
