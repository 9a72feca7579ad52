"""The confidence interval of a mean of per-query differences, most of which may be 0 and the rest skewed.

Each end is the farther one of two: Student's, and that of Hall's transformation, which takes the skewness out of the t
statistic (On the removal of skewness by transformation, Journal of the Royal Statistical Society B 54, 1992, section
2.2, with Student's quantile in place of the normal one). Student's alone is too near on the side of the long tail, and
Hall's alone on the other where few queries changed. Chosen by simulation over such differences, in which bootstrap
intervals (percentile, basic, expanded, BCa, studentized), Johnson's t and inverted sign flips were wrong more often:
docs/compare.md has the table. Nothing is drawn, so there is no seed.

No interval sees a loss that hits so few queries that the sample has none of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

_SYMMETRIC = 1e-6  # a skewness below changes no digit


class Interval(NamedTuple):
    """A confidence interval, in the metric's unit."""

    low: float
    high: float


class Reaches(NamedTuple):
    """How far an interval's ends are from the mean, in a query's standard deviations."""

    below: float
    above: float


def mean_interval(values: npt.NDArray[np.float64], confidence: float) -> Interval:
    """Of the mean of the population that `values` are drawn from; there are two at least, and they are not all equal.

    Independent of their order, and mirrored with them.
    """
    n, mean = len(values), math.fsum(values) / len(values)
    deviations = values - mean
    squares, cubes = math.fsum(deviations * deviations), math.fsum(deviations * deviations * deviations)
    sd, skewness = math.sqrt(squares / (n - 1)), cubes / n / (squares / n) ** 1.5
    below, above = reaches(n, skewness, confidence)
    return Interval(mean - sd * below, mean + sd * above)


def reaches(n: int, skewness: float, confidence: float, degrees: float | None = None) -> Reaches:
    """Of the mean of n values with this skewness. `degrees` of freedom are n - 1, unless the spread comes from fewer
    values or from several strata.
    """
    quantile = float(special.stdtrit(n - 1 if degrees is None else degrees, (1 + confidence) / 2))
    student = quantile / math.sqrt(n)
    below = max(student, _transformed_back(student, skewness, n))
    above = max(student, -_transformed_back(-student, skewness, n))
    return Reaches(below, above)


def _transformed_back(y: float, skewness: float, n: int) -> float:
    """Hall's inverse for a mean (a = 1/3, b = 1/6): the deviation, in a query's standard deviations, that becomes y."""
    if abs(skewness) < _SYMMETRIC:
        return y
    return 3 / skewness * (math.cbrt(1 + skewness * (y - skewness / (6 * n))) - 1)
