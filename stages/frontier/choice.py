"""Points are chosen on some queries and told on others: what was the best of thousands on its own queries is flattered.

The judged queries are split in two halves, by a seed; quality on the first decides which points are on the frontier,
and what is told of them, with its interval, is of the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stages.core.errors import DataError
from stages.frontier.lists import Floats, Mask
from stages.quality.interval import Interval
from stages.quality.significance import TIE, difference_interval

LEAST_QUERIES = 4
# Of what the full rerank gains over the first stage, so much is enough.
ENOUGH = 0.95


@dataclass(frozen=True, slots=True, eq=False)
class Halves:
    """Which of the judged queries, by id, choose; the others tell."""

    chooses: Mask
    seed: int

    @property
    def tells(self) -> Mask:
        return ~self.chooses


def halves(query_ids: Sequence[str], seed: int) -> Halves:
    """Half of the queries, the larger where their number is odd, drawn by the seed; the same for the same ids.

    Raises DataError where there are too few.
    """
    if len(query_ids) < LEAST_QUERIES:
        raise DataError(
            f"{len(query_ids)} judged queries: a point is chosen on one half and told on the other, which takes "
            f"{LEAST_QUERIES} at least"
        )
    drawn = np.random.default_rng(seed).permutation(len(query_ids))
    chooses = np.zeros(len(query_ids), dtype=bool)
    chooses[drawn[: -(-len(query_ids) // 2)]] = True
    return Halves(chooses, seed)


def front(costs: Floats, quality: Floats) -> list[int]:
    """The points that no other one beats: none is as good for less, or better for as much. By rising cost."""
    order = np.lexsort((np.arange(len(costs)), -quality, costs))
    found: list[int] = []
    best = -np.inf
    for place in order.tolist():
        if quality[place] > best + TIE:
            found.append(place)
            best = float(quality[place])
    return found


@dataclass(frozen=True, slots=True)
class Told:
    """Of one point on the queries that tell: its mean, and how far that is from the reference's."""

    mean: float
    difference: float
    interval: Interval | None


def told(values: Floats, reference: Floats, tells: npt.NDArray[np.bool_], confidence: float) -> Told:
    """`values` and `reference` (judged queries,) of a point and of what it is held against."""
    differences = values[tells] - reference[tells]
    differences[np.abs(differences) < TIE] = 0.0
    return Told(float(values[tells].mean()), float(differences.mean()), difference_interval(differences, confidence))


def enough(points: Sequence[int], costs: Floats, quality: Floats, first: float, full: float) -> int | None:
    """The cheapest point with ENOUGH of what the full rerank gains on the first stage; None where it gains nothing."""
    if full - first <= TIE:
        return None
    good = [place for place in points if quality[place] >= first + ENOUGH * (full - first)]
    return min(good, key=lambda place: (costs[place], -quality[place]), default=None)
