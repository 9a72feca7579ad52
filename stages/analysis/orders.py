"""What each list's new order has to do with the first stage's, and with the judgements: evidence for `useless`."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stages.analysis.changes import top_of
from stages.analysis.outcome import QueryOutcome
from stages.quality.measures import parse_metric

SAME_SCORE = 1e-6
"""Scores no further apart than this share of the larger one differ by rounding: single precision has 6e-8."""


class Pairs(NamedTuple):
    """Of all pairs of a list's documents: those that stand as before, and those that stand the other way round. Pairs
    with one score are neither.
    """

    kept: int
    turned: int


class Orders:
    """Evidence, added up query by query, over what was scored of lists of two documents and more.

    `taus`: of each list with different scores, Kendall's rank correlation of both orders, 1 where nothing moved, -1
    where the list is upside down; pairs with one score are left out of it (Goodman and Kruskal's gamma, Measures of
    association for cross classifications, JASA 49, 1954). `pairs` and `neighbours` count, over all lists, what stands
    as before and what does not; neighbours are those of the first stage. Nothing of it is counted where
    `has_first_stage` is False. `one_score` counts the lists whose documents all have one, `same_neighbours` their
    documents less one each.

    `concordances`: of each judged list with relevant documents and others, how often a relevant one stands above
    another one, 0 to 1. A random order has 1/2 (Mann and Whitney's U as a share). `above_random`: its nDCG at the
    places that the deciding metric looks at, less what random orders of the same candidates have on average, which is
    exact: each document is equally often in each place.
    """

    def __init__(self, metric: str, *, has_first_stage: bool) -> None:
        self.top, self.level = top_of(metric), parse_metric(metric).level
        self.has_first_stage = has_first_stage
        self.lists = self.one_score = self.same_neighbours = 0
        self.pairs, self.neighbours = Pairs(0, 0), Pairs(0, 0)
        self.taus, self.concordances, self.above_random = array("d"), array("d"), array("d")

    def add(self, outcome: QueryOutcome, grades: Mapping[str, int] | None) -> None:
        """`grades` is None of a query that is not judged."""
        if len(outcome.order) < 2:
            return
        self.lists += 1
        keys = outcome.keys[np.sort(outcome.order)].astype(np.float64)
        best, worst = float(keys.max()), float(keys.min())
        if best - worst <= SAME_SCORE * max(abs(best), abs(worst)):
            self.one_score += 1
            self.same_neighbours += len(keys) - 1
        if self.has_first_stage:
            self._beside_first_stage(keys)
        if grades is not None:
            self._beside_judgements(outcome, grades)

    def _beside_first_stage(self, keys: npt.NDArray[np.float64]) -> None:
        """`keys` are in the first stage's order."""
        steps = np.diff(keys)
        self.neighbours = _sum(self.neighbours, Pairs(int((steps < 0).sum()), int((steps > 0).sum())))
        pairs = pairs_of(keys.tolist())
        self.pairs = _sum(self.pairs, pairs)
        if known := pairs.kept + pairs.turned:
            self.taus.append((pairs.kept - pairs.turned) / known)

    def _beside_judgements(self, outcome: QueryOutcome, grades: Mapping[str, int]) -> None:
        gains = np.array([self._gain(grades.get(outcome.doc_ids[place], 0)) for place in outcome.order.tolist()])
        relevant = np.flatnonzero(gains > 0) + 1
        others = len(gains) - len(relevant)
        if not len(relevant) or not others:
            return
        pairs = len(relevant) * others
        below = relevant.sum() - len(relevant) * (len(relevant) + 1) / 2
        self.concordances.append(float(1 - below / pairs))
        discounts = np.zeros(len(gains))
        looked_at = min(self.top, len(gains))
        discounts[:looked_at] = _discounts(looked_at)
        ideal = np.sort(np.array([self._gain(grade) for grade in grades.values()]))[::-1][: self.top]
        best = float(ideal @ _discounts(len(ideal)))
        self.above_random.append(float(gains @ discounts - gains.sum() * discounts.mean()) / best)

    def _gain(self, grade: int) -> float:
        return float(grade) if grade >= self.level else 0.0


def pairs_of(keys: Sequence[float]) -> Pairs:
    """Of what has these scores, in this order: the higher one first is as it was. By insertion, in n log n steps."""
    kept = turned = 0
    above: list[float] = []
    for key in keys:
        turned += (place := bisect_left(above, key))
        kept += len(above) - bisect_right(above, key, lo=place)
        above.insert(place, key)
    return Pairs(kept, turned)


def _sum(one: Pairs, other: Pairs) -> Pairs:
    return Pairs(one.kept + other.kept, one.turned + other.turned)


def _discounts(places: int) -> npt.NDArray[np.float64]:
    discounts: npt.NDArray[np.float64] = 1 / np.log2(np.arange(2, places + 2))
    return discounts
