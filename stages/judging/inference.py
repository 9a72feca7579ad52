"""The mean where people judged some queries, drawn at random, and a model judged all: prediction-powered inference.

With y a query's value (a metric, or its change) by people's grades and f that by the model's, the estimate is
mean_S(y) + L (mean f - mean_S(f)): that of the queries S that people judged, corrected by how far their f lies from that
of all. L = 0 are people alone; L = 1 is PPI (Angelopoulos et al., Prediction-powered inference, Science 382, 2023), L
from the data PPI++ (Angelopoulos, Duchi and Zrnic, arXiv 2311.01453). Survey sampling has them as difference and
regression estimator (Cochran, Sampling Techniques, 3rd edition, 1977, sections 7.2 to 7.10; the combined one over
strata), and both estimands: of exactly these queries, and of all like them. However wrong the model, the estimate is
right on average; it is as precise as f tells y, which nobody knows but from the judged queries.

So the rule below, which was fixed by simulation before any judgement, looks at how well f goes along with y and at
nothing else: not at the estimates, and not at which interval came out narrower. docs/judging.md has what comes of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stages.core.words import counted
from stages.judging.number import LEAST, LEAST_CHANGED
from stages.judging.precision import About, Estimate, Stratum, estimate, judged, sampled_variance, spread
from stages.quality.interval import Interval, reaches
from stages.quality.significance import TIE

Values = npt.NDArray[np.float64]

MARGIN = 2.0
"""A tuned L is better than none only where |rho| > 1/sqrt(n - 2) (arXiv 2505.20178). As rho is known from the sample
alone, the rule asks for so many times as much.
"""

LEAST_DIFFER = 10
"""Of fewer queries that the model gets otherwise than most the spread of its errors is a guess."""


class Method(StrEnum):
    """What the interval is made of."""

    PEOPLE = "people"
    PPI = "ppi"
    TUNED = "ppi++"
    EXACT = "exact"


@dataclass(frozen=True, slots=True)
class Labelled:
    """A stratum of `size` queries: the values by people's grades of those that people judged, those by the model's of
    the same queries in the same order, and of the `rest`. A query whose change is known to be 0 counts as judged.
    """

    size: int
    people: Values
    model: Values
    rest: Values

    def __post_init__(self) -> None:
        if len(self.people) != len(self.model) or len(self.people) + len(self.rest) != self.size:
            raise ValueError(
                f"{self.size} queries, {len(self.people)} by people, {len(self.model)} and {len(self.rest)} by the model"
            )

    @property
    def known(self) -> bool:
        return not len(self.rest)

    @property
    def unlike(self) -> float:
        """How far the mean f of all queries is from that of the judged ones."""
        mean = (math.fsum(self.model) + math.fsum(self.rest)) / self.size
        return 0.0 if self.known else mean - math.fsum(self.model) / len(self.model)

    def less(self, weight: float) -> Stratum:
        """What is left of people's values when `weight` times the model's are taken off, where they are not all known."""
        return Stratum(self.size, self.people if self.known else self.people - weight * self.model)


@dataclass(frozen=True, slots=True)
class Inference:
    """The mean and its interval, in the metric's unit, by a `method` that `reason` explains; without an interval
    `reason` says why there is none. `weight` is the L of the model, `rho` how closely its values go along with people's
    over the `n` queries that people judged of those that are open, of a `population` of queries; None where one of both
    never differs. `doubt` says why the interval is not sure, and is empty where it is.
    """

    method: Method | None
    mean: float | None
    interval: Interval | None
    reason: str
    rho: float | None
    n: int
    population: int
    weight: float = 0.0
    doubt: str = ""


class _Fit(NamedTuple):
    """What the open strata tell of y and f together, each weighted by its part in the error: the `slope` of y on f, its
    variance, and their correlation `rho`. `spare` degrees of freedom are left to them; `differ` is how many judged
    queries the model gets otherwise than most.
    """

    slope: float
    variance: float
    rho: float
    spare: int
    differ: int

    @property
    def asked(self) -> float:
        """How large rho has to be."""
        return MARGIN / math.sqrt(self.spare)


def infer(strata: Sequence[Labelled], about: About, confidence: float) -> Inference:
    """Of the mean over all strata. Nothing is drawn; the order of queries and strata decides nothing."""
    strata = [one for one in strata if one.size]
    by_people = [Stratum(one.size, one.people) for one in strata]
    alone = estimate(by_people, about, confidence)
    n, population = judged(by_people), sum(one.size for one in strata)
    if alone is None:
        return Inference(None, None, None, _no_spread(by_people), None, n, population)
    if all(one.known for one in strata):
        method = Method.EXACT if about is About.THESE else Method.PEOPLE
        return Inference(method, alone.mean, alone.interval, "people judged every query", None, n, population)
    fit = _fit(strata)
    rho, doubt = fit.rho if fit else None, _doubt(by_people, n)
    if reason := _why_people_alone(fit, n):
        return Inference(Method.PEOPLE, alone.mean, alone.interval, reason, rho, n, population, doubt=doubt)
    assert fit is not None
    weight = min(1.0, fit.slope)
    found = _leaning(strata, weight, fit, about, confidence)
    reason = (
        f"over {n:,} judged queries the model goes along with people (correlation {fit.rho:.2f}, where the rule asks for "
        f"{fit.asked:.2f}), so that its grades count {weight:.2g} as much in the others"
    )
    method = Method.PPI if weight == 1 else Method.TUNED
    return Inference(method, found.mean, found.interval, reason, rho, n, population, weight, doubt)


def _fit(strata: Sequence[Labelled]) -> _Fit | None:
    """None where the model never differs. There are two judged queries at least in every open stratum."""
    total = sum(one.size for one in strata)
    open_ones = [one for one in strata if not one.known]
    sizes = [len(one.people) for one in open_ones]
    weights = [
        (one.size / total) ** 2 * (1 - n / one.size) / n / (n - 1) for one, n in zip(open_ones, sizes, strict=True)
    ]
    w = np.repeat(weights, sizes)
    f = np.concatenate([one.model - one.model.mean() for one in open_ones])
    y = np.concatenate([one.people - one.people.mean() for one in open_ones])
    if np.ptp(f) < TIE:
        return None
    ff, fy, yy = math.fsum(w * f * f), math.fsum(w * f * y), math.fsum(w * y * y)
    slope, spare = fy / ff, sum(sizes) - len(sizes) - 1
    rests = y - slope * f
    errors = np.concatenate([one.people - one.model for one in open_ones])
    return _Fit(
        slope=slope,
        variance=math.fsum((w * f * rests) ** 2) / ff**2,
        rho=fy / math.sqrt(ff * yy),
        spare=max(1, spare),
        differ=int(np.count_nonzero(np.abs(errors - np.median(errors)) >= TIE)),
    )


def _leaning(strata: Sequence[Labelled], weight: float, fit: _Fit, about: About, confidence: float) -> Estimate:
    """On the model, with this weight. The slope costs a degree of freedom, and its error as far as the judged queries'
    f is unlike that of all (Cochran, section 7.4).
    """
    left = [one.less(weight) for one in strata]
    found, whole = spread(left, about), spread([one.less(0) for one in strata], about)
    assert found is not None and whole is not None
    population, n = whole.population, judged(left)
    unlike = math.fsum(one.size / population * one.unlike for one in strata)
    mean = math.fsum(one.size / population * one.people.mean() for one in strata) + weight * unlike
    variance = sampled_variance(left) * (fit.spare + 1) / fit.spare + unlike**2 * fit.variance
    variance += whole.whole / population if about is About.LIKE_THESE else 0.0
    below, above = reaches(n, found.skewness, confidence, max(1.0, found.degrees - 1))
    scale = math.sqrt(n * variance)
    return Estimate(mean, Interval(mean - scale * below, mean + scale * above))


def _why_people_alone(fit: _Fit | None, n: int) -> str:
    """The rule; empty where the model is leaned on."""
    if n < LEAST:
        return f"of fewer than {LEAST} judged queries ({n}) nobody can tell how far to lean on the model"
    if fit is None:
        return "the model gives all judged queries the same"
    if fit.differ < LEAST_DIFFER:
        return (
            f"the model errs in {fit.differ:,} of {n:,} judged queries, too few to tell how far it does in the others"
        )
    if fit.rho < fit.asked:
        return (
            f"over {n:,} judged queries the model goes along with people too little (correlation {fit.rho:.2f}, where "
            f"the rule asks for {fit.asked:.2f})"
        )
    return ""


def _no_spread(strata: Sequence[Stratum]) -> str:
    short = [one for one in strata if not one.known and len(one.values) < 2]
    if not short:
        return "all judged queries have the same value, so their spread is not known"
    if len(strata) == 1:
        return f"people judged {counted(len(short[0].values), 'query', 'queries')}: it takes two to tell a spread"
    return f"in {counted(len(short), 'stratum', 'strata')} people judged fewer than two queries"


def _doubt(strata: Sequence[Stratum], n: int) -> str:
    """As of a plan's verdict."""
    changed = sum(int(np.count_nonzero(np.abs(one.values) >= TIE)) for one in strata)
    if n < LEAST:
        return f"only {counted(n, 'query is', 'queries are')} judged: below {LEAST} none is sure"
    if changed < LEAST_CHANGED:
        return f"only {counted(changed, 'judged query', 'judged queries')} changed: such an interval is not sure"
    return ""
