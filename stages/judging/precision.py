"""What the judged queries tell of the mean change, and how precisely.

Queries are drawn without replacement, in strata or all from one, in proportion to their sizes. Weights, variance and
the finite population correction are those of Cochran, Sampling Techniques, 3rd edition, 1977, sections 2.6, 5.3 and
5.4; degrees of freedom are Satterthwaite's (ibid., 5.16). The ends are as far off as those of every other interval here
(`stages.quality.interval`): the farther one of Student's and that of Hall's transformation.

A stratum whose queries all have a value is known: it has no error. Such are the queries of which the metric sees the
same in both orders, whose change is 0 before anybody judges them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from stages.quality.interval import Interval, reaches
from stages.quality.significance import TIE

Values = npt.NDArray[np.float64]


DEGREES = 19.0
"""Of freedom, at most, that Student's quantile takes: those of the fewest queries of which anything is told. The number
follows from the spread, so it ends too soon where that was met too small; the quantile of a small sample makes up for
it. docs/judging.md has what comes of that.
"""


class About(StrEnum):
    """What the interval is about: the mean over exactly the queries of the runs; or over all queries like these, of
    which they are a sample themselves.
    """

    THESE = "these"
    LIKE_THESE = "like-these"


@dataclass(frozen=True, slots=True)
class Stratum:
    """`size` queries, of which some have a value each: the change of the metric."""

    size: int
    values: Values

    @property
    def known(self) -> bool:
        """Whether every query of it has a value."""
        return len(self.values) >= self.size

    @property
    def mean(self) -> float:
        return math.fsum(self.values) / len(self.values)

    @property
    def variance(self) -> float:
        """Of the sample; 0 of a single value, whose spread nobody knows."""
        if len(self.values) < 2 or np.ptp(self.values) < TIE:
            return 0.0
        return math.fsum((self.values - self.mean) ** 2) / (len(self.values) - 1)


@dataclass(frozen=True, slots=True)
class Spread:
    """What of the judged queries decides how precise an estimate is: no estimate among it.

    `within` is the variance of a query's change within the strata that are not known, weighted by their sizes, which is
    their `share` of all `population` queries; `whole` that over all queries. `skewness` is that of changes less their
    stratum's mean; `degrees` of freedom are those of the error.
    """

    population: int
    open_queries: int
    within: float
    whole: float
    skewness: float
    degrees: float

    @property
    def share(self) -> float:
        return self.open_queries / self.population

    def error(self, number: int, about: About) -> float:
        """The standard error of the mean change once `number` of the open queries are judged."""
        left = max(0.0, 1 - number / self.open_queries) if self.open_queries else 0.0
        sampled = left * self.share * self.within / number if left else 0.0
        return math.sqrt(sampled + (self.whole / self.population if about is About.LIKE_THESE else 0.0))

    def reach(self, number: int, about: About, confidence: float) -> float:
        """How far from the estimate the farther end of the interval is, once `number` queries are judged."""
        far = max(reaches(number, self.skewness, confidence, self.degrees))
        return far * math.sqrt(number) * self.error(number, about)


@dataclass(frozen=True, slots=True)
class Estimate:
    """The mean change over all queries, and its interval, in the metric's unit."""

    mean: float
    interval: Interval

    @property
    def reach(self) -> float:
        """How far the farther end is from the estimate: what `--width` asks for."""
        return max(self.mean - self.interval.low, self.interval.high - self.mean)


def spread(strata: Sequence[Stratum], about: About) -> Spread | None:
    """None where it cannot be told: a stratum has less than two values and is not known, or no value differs."""
    open_ones = [one for one in strata if not one.known]
    if any(len(one.values) < 2 for one in open_ones):
        return None
    seen = [one for one in strata if one.size and len(one.values)]
    population = sum(one.size for one in strata)
    weights = [one.size / population for one in seen]
    mean = math.fsum(weight * one.mean for weight, one in zip(weights, seen, strict=True))
    within = math.fsum(one.size / population * one.variance for one in open_ones)
    whole = math.fsum(
        weight * (one.variance + (one.mean - mean) ** 2) for weight, one in zip(weights, seen, strict=True)
    )
    if (within if open_ones else whole) <= 0:
        return None
    sampled = open_ones or seen
    return Spread(
        population=population,
        open_queries=sum(one.size for one in open_ones),
        within=within,
        whole=whole,
        skewness=_skewness(sampled),
        degrees=_degrees(sampled, population, about),
    )


def estimate(strata: Sequence[Stratum], about: About, confidence: float) -> Estimate | None:
    """None where the spread cannot be told. Of exactly these queries, all known, the mean is exact."""
    population = sum(one.size for one in strata)
    if about is About.THESE and population and all(one.known for one in strata):
        exact = math.fsum(one.size / population * one.mean for one in strata if one.size)
        return Estimate(exact, Interval(exact, exact))
    if (found := spread(strata, about)) is None:
        return None
    mean = math.fsum(one.size / population * one.mean for one in strata if len(one.values))
    number = judged(strata)
    error = math.sqrt(sampled_variance(strata) + (found.whole / population if about is About.LIKE_THESE else 0.0))
    below, above = reaches(number, found.skewness, confidence, found.degrees)
    scale = math.sqrt(number) * error
    return Estimate(mean, Interval(mean - scale * below, mean + scale * above))


def judged(strata: Sequence[Stratum]) -> int:
    """How many values the spread comes from: those of what is not known, or of all where everything is."""
    return sum(len(one.values) for one in strata if not one.known) or sum(len(one.values) for one in strata)


def sampled_variance(strata: Sequence[Stratum]) -> float:
    """Of the mean over exactly these queries: as in `Spread.error`, with the sizes that the samples really have."""
    population = sum(one.size for one in strata)
    return math.fsum(
        (one.size / population) ** 2 * (1 - len(one.values) / one.size) * one.variance / len(one.values)
        for one in strata
        if not one.known
    )


def _skewness(strata: Sequence[Stratum]) -> float:
    total = sum(one.size for one in strata)
    squares = cubes = 0.0
    for one in strata:
        rests = one.values - one.mean
        squares += one.size / total * math.fsum(rests**2) / len(rests)
        cubes += one.size / total * math.fsum(rests**3) / len(rests)
    return cubes / squares**1.5 if squares > 0 else 0.0


def _degrees(strata: Sequence[Stratum], population: int, about: About) -> float:
    """Satterthwaite's, from the part that each stratum has in the error, n - 1 of a single one; DEGREES at most."""
    parts = []
    for one in strata:
        weight, n = one.size / population, len(one.values)
        part = weight**2 * max(0.0, 1 - n / one.size) * one.variance / n
        part += weight * one.variance / population if about is About.LIKE_THESE else 0.0
        if part > 0:
            parts.append((part, n - 1))
    total = math.fsum(part for part, _ in parts)
    return min(DEGREES, total**2 / math.fsum(part**2 / degrees for part, degrees in parts)) if total else 1.0
