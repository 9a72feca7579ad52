"""Which interval for a mean of per-query differences? Candidates on simulated collections whose true mean is known.

Takes ten minutes on one core and prints the first table of docs/compare.md: `python -m tests.faults.intervals
[COLLECTIONS]`, 2,000 of them for each number unless told otherwise. A number is the share, in percent, of collections
whose interval at 95 % lies wholly above the true mean, and wholly below: 2.5 each would be right.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable

import numpy as np
from scipy import special, stats

from stages.quality.interval import Interval
from stages.quality.significance import CONFIDENCE, difference_interval
from tests.faults.differences import Population, Values, populations

COLLECTIONS, RESAMPLES = 2000, 1000
QUERIES, TRUE_MEAN = (20, 50, 200), -0.01
TAIL = (1 - CONFIDENCE) / 2

Method = Callable[[Values, np.random.Generator], Interval]


def students(values: Values, _: np.random.Generator) -> Interval:
    return Interval(*stats.ttest_1samp(values, 0.0).confidence_interval(CONFIDENCE))


def johnsons(values: Values, rng: np.random.Generator) -> Interval:
    """Modified t tests and confidence intervals for asymmetrical populations, JASA 73, 1978."""
    shift = stats.skew(values) * values.std(ddof=1) / (6 * len(values))
    low, high = students(values, rng)
    return Interval(low + shift, high + shift)


def halls(values: Values, rng: np.random.Generator) -> Interval:
    """The transformation alone: ours without Student's as the nearest that either end may be."""
    n, sd, skewness = len(values), values.std(ddof=1), stats.skew(values)
    y = special.stdtrit(n - 1, 1 - TAIL) / math.sqrt(n)
    reaches = [3 / skewness * (np.cbrt(1 + skewness * (end - skewness / 6 / n)) - 1) for end in (y, -y)]
    return Interval(*(values.mean() - sd * reach for reach in reaches))


def of_scipy(method: str) -> Method:
    def interval(values: Values, rng: np.random.Generator) -> Interval:
        found = stats.bootstrap((values,), np.mean, n_resamples=RESAMPLES, method=method, rng=rng)
        return Interval(*found.confidence_interval)

    return interval


def expanded(values: Values, rng: np.random.Generator) -> Interval:
    """Hesterberg, What teachers should know about the bootstrap, The American Statistician 69, 2015, section 5.2."""
    n = len(values)
    tail = special.ndtr(math.sqrt(n / (n - 1)) * special.stdtrit(n - 1, TAIL))
    means = rng.choice(values, (RESAMPLES, n)).mean(axis=1)
    return Interval(*np.quantile(means, [tail, 1 - tail]))


def studentized(values: Values, rng: np.random.Generator) -> Interval:
    n, mean = len(values), values.mean()
    drawn = rng.choice(values, (RESAMPLES, n))
    off, spread = drawn.mean(axis=1) - mean, drawn.std(axis=1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(spread > 0, off / spread, np.sign(off) * np.inf)
    low, high = np.quantile(
        np.nan_to_num(ratios, nan=0.0, posinf=np.inf, neginf=-np.inf), [TAIL, 1 - TAIL], method="inverted_cdf"
    )
    return Interval(mean - high * values.std(ddof=1), mean - low * values.std(ddof=1))


def sign_flips(values: Values, rng: np.random.Generator) -> Interval:
    """The means that the randomization test does not refuse: quantiles of the means of random halves of the queries
    (Hartigan, Using subsample values as typical values, JASA 64, 1969).
    """
    chosen = rng.random((RESAMPLES, len(values))) < 0.5
    chosen = chosen[chosen.any(axis=1)]
    return Interval(*np.quantile(chosen @ values / chosen.sum(axis=1), [TAIL, 1 - TAIL]))


def ours(values: Values, _: np.random.Generator) -> Interval:
    found = difference_interval(values, CONFIDENCE)
    assert found is not None
    return found


METHODS: dict[str, Method] = {
    "Student": students,
    "Johnson": johnsons,
    "Hall": halls,
    "percentile": of_scipy("percentile"),
    "basic": of_scipy("basic"),
    "BCa": of_scipy("BCa"),
    "expanded percentile": expanded,
    "studentized bootstrap": studentized,
    "inverted sign flips": sign_flips,
    "Student or Hall, the farther (used)": ours,
}


def errors(method: Method, population: Population, queries: int, collections: int) -> tuple[float, float]:
    """Shares of intervals wholly above, and wholly below the true mean. Collections without a spread are left out."""
    rng = np.random.default_rng(queries)
    drawn = population.with_mean(TRUE_MEAN).nights(collections, queries, rng)
    found = [method(values, rng) for values in drawn if np.ptp(values) > 0]
    return (
        float(np.mean([one.low > TRUE_MEAN for one in found])),
        float(np.mean([one.high < TRUE_MEAN for one in found])),
    )


def main() -> None:
    collections = int(sys.argv[1]) if len(sys.argv) > 1 else COLLECTIONS
    kinds = populations()[:3]  # the fourth is the third, mirrored
    for name, method in METHODS.items():
        cells = []
        for population in kinds:
            for queries in QUERIES:
                above, below = errors(method, population, queries, collections)
                cells.append(f"{100 * above:.1f} / {100 * below:.1f}")
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
