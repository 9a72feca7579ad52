"""The least depth that is certified to lose no more than so much, by conformal risk control.

A query's loss at depth d is the most that its metric at d, or at any greater depth, lies below its metric at full
depth: loss(d) = max over d' >= d of max(0, metric at full depth - metric at d'). It falls with d, is 0 at full depth,
and at most 1 for a metric between 0 and 1. The depth taken is the least with (n * mean loss(d) + 1) / (n + 1) <= alpha
over n queries. Then the *expected* loss of a further query is at most alpha, where that query is drawn as those were
(exchangeable): Angelopoulos, Bates, Fisch, Lei and Schuster, Conformal risk control, ICLR 2024, theorem 1. The bound is
on the average over queries and draws; single queries may lose more. No depth is certified under the floor 1 / (n + 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stages.frontier.lists import Floats


@dataclass(frozen=True, slots=True)
class Certified:
    """`depth`, from 1 on, None where none can be certified; `bound` is what was held against `alpha` there, `floor` the
    least alpha that `n` queries can certify.
    """

    alpha: float
    n: int
    floor: float
    depth: int | None
    bound: float | None


def losses(values: Floats) -> Floats:
    """(queries, depths from 1 on) of a metric -> each query's loss at each depth; the last depth is the full one."""
    below = np.maximum(values[:, -1:] - values, 0.0)
    rising: Floats = np.maximum.accumulate(below[:, ::-1], axis=1)[:, ::-1]
    return rising


def certify(lost: Floats, alpha: float) -> Certified:
    """The least depth that `lost`, of the calibration queries, certifies. Raises ValueError where a loss is not
    between 0 and 1: the bound is wrong there.
    """
    if lost.size and not (lost.min() >= 0.0 and lost.max() <= 1.0 + 1e-9):
        raise ValueError("a loss lies between 0 and 1")
    n = len(lost)
    floor = 1 / (n + 1)
    bounds = (lost.sum(axis=0) + 1) / (n + 1)
    enough = np.flatnonzero(bounds <= alpha)
    if not len(enough):
        return Certified(alpha, n, floor, None, None)
    least = int(enough[0])
    return Certified(alpha, n, floor, least + 1, float(bounds[least]))
