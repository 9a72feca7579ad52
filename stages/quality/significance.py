"""Is the difference between two systems real? Tests, intervals, and the difference that could have been shown.

Two tests of "no difference" over the same queries: Student's paired t and the paired randomization test. On retrieval
metrics both keep their level and agree, where Wilcoxon's and the sign test mislead (Smucker, Allan and Carterette, A
comparison of statistical significance tests for information retrieval evaluation, CIKM 2007; Urbano, Lima and
Hanjalic, Statistical significance testing in information retrieval, SIGIR 2019). The randomization test assumes no
distribution and is defined for any number of queries: correct and report that one where only one is wanted.

The interval is `interval.mean_interval`, which says what it is and why.

Nothing is NaN or infinite; what cannot be computed is None:

    no query                             DataError
    every difference 0                   both p = 1, interval (0, 0), effect size 0; minimum_detectable None
    one query, or all differences equal  p_randomization as ever (1 for one query); p_t, interval, effect size and
                                         minimum_detectable None: they need a spread
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import special

from stages.core.errors import DataError
from stages.core.words import percent
from stages.quality.interval import Interval, mean_interval
from stages.quality.randomization import Differences, randomization_p

SIGNIFICANT = "statistically significant"
TIE = 1e-12
"""A smaller difference, in the metric's unit, is rounding: the query is a tie."""

CONFIDENCE = 0.95
"""Of intervals, unless the user says otherwise; what is left is the level of the tests."""

POWER = 0.8
"""The share of such collections that would show the minimum detectable difference (Cohen, Statistical Power Analysis
for the Behavioral Sciences, 1988, section 2.4)."""

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Difference:
    """How a system differs from a baseline in one metric, over `n` queries; positive where the system is higher.

    Means, `difference`, `sd` (sample standard deviation of the per-query differences), `interval` and
    `minimum_detectable` are in the metric's unit. `effect_size` is Cohen's d_z, difference / sd. The p values are
    two-sided and not corrected; neither is `interval`, so it may exclude 0 where the corrected p is large.

    `interval` is at `confidence`.

    `minimum_detectable` is what a t test would find with probability POWER, at 1 - `confidence` shared among
    `comparisons` tests.
    """

    n: int
    mean_baseline: float
    mean_system: float
    difference: float
    sd: float
    interval: Interval | None
    confidence: float
    p_t: float | None
    p_randomization: float
    effect_size: float | None
    wins: int
    ties: int
    losses: int
    minimum_detectable: float | None
    comparisons: int


def compare_values(
    baseline: Sequence[float],
    system: Sequence[float],
    *,
    seed: int = 0,
    permutations: int = 100_000,
    confidence: float = CONFIDENCE,
    comparisons: int = 1,
) -> Difference:
    """Compare two systems by the values of one metric; `baseline[i]` and `system[i]` belong to the same query.

    `comparisons` is how many p values `holm` will correct together. For one seed the result depends neither on the
    order of the queries nor, but for its sign, on which system is the baseline. 10,000 queries take about a second
    and tens of megabytes.

    Raises DataError where there is no query, where the two differ in length, and for a value that is not finite.
    """
    if min(permutations, comparisons) < 1 or not 0 < confidence < 1:
        raise ValueError("permutations and comparisons are 1 or more, confidence lies between 0 and 1")
    differences = _differences(baseline, system)
    n, mean, sd = len(differences), math.fsum(differences) / len(differences), _spread(differences)
    return Difference(
        n=n,
        mean_baseline=math.fsum(baseline) / n,
        mean_system=math.fsum(system) / n,
        difference=mean,
        sd=sd,
        interval=difference_interval(differences, confidence),
        confidence=confidence,
        p_t=_t_test_p(mean, sd, n),
        p_randomization=randomization_p(differences, permutations, _for_permutations(seed)),
        effect_size=mean / sd if sd else None if mean else 0.0,
        **_outcomes(differences),
        minimum_detectable=minimum_detectable(sd, n, (1 - confidence) / comparisons),
        comparisons=comparisons,
    )


def paired_p(
    baseline: Sequence[float], system: Sequence[float], *, seed: int = 0, permutations: int = 100_000
) -> float:
    """`p_randomization` of `compare_values` alone, for one of many points of a curve. Raises as that does."""
    return randomization_p(_differences(baseline, system), permutations, _for_permutations(seed))


def _for_permutations(seed: int) -> np.random.Generator:
    """A child of the seed's generator, as ever: the p value of a seed stays what it was."""
    return np.random.default_rng(seed).spawn(1)[0]


def difference_interval(differences: Differences, confidence: float) -> Interval | None:
    """Of the mean of per-query differences; (0, 0) where all are 0, None where they have no spread."""
    if not differences.any():
        return Interval(0.0, 0.0)
    if np.ptp(differences) < TIE:
        return None
    return mean_interval(differences, confidence)


def _spread(differences: Differences) -> float:
    """The sample standard deviation; exactly 0 where all are equal but for rounding."""
    if np.ptp(differences) < TIE:
        return 0.0
    mean = math.fsum(differences) / len(differences)
    return math.sqrt(math.fsum((differences - mean) ** 2) / (len(differences) - 1))


def _outcomes(differences: Differences) -> dict[str, int]:
    return {
        "wins": int(np.count_nonzero(differences > 0)),
        "ties": int(np.count_nonzero(differences == 0)),
        "losses": int(np.count_nonzero(differences < 0)),
    }


def minimum_detectable(sd: float, n: int, alpha: float = 0.05) -> float | None:
    """The true difference that a two-sided paired t test at `alpha` finds with probability POWER; None without spread.

    From the noncentral t distribution with n - 1 degrees of freedom and the observed `sd`, leaving out the chance,
    under 1e-4, to find it with the wrong sign (Webber, Moffat and Zobel, Statistical power in retrieval
    experimentation, CIKM 2008).
    """
    if n < 2 or sd == 0:
        return None
    critical = -special.stdtrit(n - 1, alpha / 2)
    return float(special.nctdtrinc(n - 1, 1 - POWER, critical)) * sd / math.sqrt(n)


def holm(p_values: Mapping[_Key, float]) -> dict[_Key, float]:
    """Correct p values for having been looked at together, over all metrics and systems; keys keep their order.

    The smallest of m is multiplied by m, the next by m - 1, and so on; none falls below the one before, none exceeds
    1. It bounds the chance of any false finding, however the tests depend on each other (Holm, A simple sequentially
    rejective multiple test procedure, Scandinavian Journal of Statistics 6, 1979).
    """
    if not all(0 <= p <= 1 for p in p_values.values()):
        raise ValueError(f"a p value lies between 0 and 1: {dict(p_values)}")
    corrected: dict[_Key, float] = {}
    largest = 0.0
    for rank, key in enumerate(sorted(p_values, key=p_values.__getitem__)):
        largest = min(1.0, max(largest, (len(p_values) - rank) * p_values[key]))
        corrected[key] = largest
    return {key: corrected[key] for key in p_values}


def in_words(difference: Difference, metric: str, corrected_p: float, alpha: float = 0.05) -> str:
    """One sentence for people; where the difference is not significant it says how small a one could have been shown.

    The decision compares `corrected_p` with `alpha`; the interval is at the confidence that `compare_values` was given.
    """
    if difference.ties == difference.n:
        return f"{metric} is the same for every query (n = {difference.n}, p = 1): the systems do not differ"
    evidence = f"p {_p_in_words(corrected_p)}"
    if difference.interval:
        low, high = difference.interval
        evidence = f"{percent(difference.confidence)} interval {low:.3f} to {high:.3f}, {evidence}"
    return f"{metric} {_change(difference.difference)} ({evidence}): {_verdict(difference, corrected_p, alpha)}"


def _differences(baseline: Sequence[float], system: Sequence[float]) -> Differences:
    if len(baseline) != len(system):
        raise DataError(
            f"The baseline has {len(baseline)} values and the system {len(system)}: evaluate both on the same queries."
        )
    if not len(baseline):
        raise DataError("There is no query to compare the systems on: check that the qrels judge some.")
    differences = np.asarray(system, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    if not np.isfinite(differences).all():
        place = int(np.flatnonzero(~np.isfinite(differences))[0])
        raise DataError(
            f"Query number {place + 1} has the values {baseline[place]} and {system[place]}, whose difference is no "
            "number: evaluate it again, or leave it out of both systems."
        )
    differences[np.abs(differences) < TIE] = 0.0
    return differences


def _t_test_p(mean: float, sd: float, n: int) -> float | None:
    if sd == 0:
        return None if mean else 1.0
    return float(2 * special.stdtr(n - 1, -abs(mean) / sd * math.sqrt(n)))


def _p_in_words(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3g}"


def _change(difference: float) -> str:
    if difference == 0:
        return "does not change on average"
    return f"{'rises' if difference > 0 else 'falls'} by {abs(difference):.4f}"


def _verdict(difference: Difference, corrected_p: float, alpha: float) -> str:
    if corrected_p < alpha:
        return f"{SIGNIFICANT} at the {percent(alpha)} level"
    smallest = minimum_detectable(difference.sd, difference.n, alpha / difference.comparisons)
    if smallest is None:
        return f"it cannot be told from chance; too few queries (n = {difference.n}) to say what could be"
    return f"it cannot be told from chance; this collection shows differences from {smallest:.3f} on"
