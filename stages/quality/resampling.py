"""Sign flips and resamples of per-query differences: the randomization test and the bootstrap, in bounded memory.

Both take the differences as a set: they are sorted first, so that for one seed the answer depends neither on the order
of the queries nor, but for its sign, on which system is subtracted from which.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Differences = npt.NDArray[np.float64]

# Sums of the same numbers in another order differ by less than this share of their absolute sum.
_ROUNDING = 1e-12

_BLOCK = 8  # differences flipped together: one random byte holds their signs
_DRAWS_PER_CHUNK = 1_000_000  # 16 MB of indices and values; larger chunks are no faster
_NORMAL = NormalDist()


class Interval(NamedTuple):
    """A confidence interval, in the metric's unit."""

    low: float
    high: float


class BootstrapIntervals(NamedTuple):
    """Two intervals of the mean from the same resamples."""

    percentile: Interval
    bca: Interval


def randomization_p(differences: Differences, permutations: int, rng: np.random.Generator) -> float:
    """Two-sided p of the paired randomization test: how often random signs give a mean as far from 0 as the given one.

    Fisher's test as Smucker, Allan and Carterette use it (A comparison of statistical significance tests for
    information retrieval evaluation, CIKM 2007). All signs are tried where there are at most `permutations` ways to
    set them, and p is exact; otherwise p = (1 + as far) / (1 + permutations), which is never 0 (Phipson and Smyth,
    Permutation p-values should never be zero, 2010). Zeros have no sign and change nothing.
    """
    sizes = np.sort(np.abs(differences[differences != 0]))
    observed = abs(differences.sum()) - _ROUNDING * sizes.sum()
    if len(sizes) < permutations.bit_length():  # 2^n <= permutations
        return float(np.mean(np.abs(_all_signed_sums(sizes)) >= observed))
    sums = np.zeros(permutations)
    for start in range(0, len(sizes), _BLOCK):
        # A block has at most 256 signed sums. To look them up takes a third of the time of a product with a matrix of
        # signs in double precision, which ties need, and the same memory for any number of queries.
        of_block = _all_signed_sums(sizes[start : start + _BLOCK])
        sums += of_block[rng.integers(len(of_block), size=permutations, dtype=np.uint8)]
    as_far = np.count_nonzero(np.abs(sums) >= observed)
    return float((1 + as_far) / (1 + permutations))


def bootstrap_intervals(
    differences: Differences, confidence: float, resamples: int, rng: np.random.Generator
) -> BootstrapIntervals:
    """Percentile and BCa interval of the mean difference, from `resamples` samples of the queries with replacement.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), sections 13.3 and 14.3. Needs differences that are
    not all equal.
    """
    if differences.sum() < 0:
        low_high = bootstrap_intervals(-differences, confidence, resamples, rng)
        return BootstrapIntervals(*(Interval(-high, -low) for low, high in low_high))
    ordered = np.sort(differences)
    means = _resampled_means(ordered, resamples, rng)
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    return BootstrapIntervals(
        percentile=Interval(*np.quantile(means, tails).tolist()),
        bca=Interval(*np.quantile(means, _bca_levels(ordered, means, tails)).tolist()),
    )


def _all_signed_sums(sizes: Differences) -> Differences:
    """The 2^n sums of n numbers under every choice of signs."""
    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate((sums + size, sums - size))
    return sums


def _resampled_means(values: Differences, resamples: int, rng: np.random.Generator) -> Differences:
    n = len(values)
    means = np.empty(resamples)
    rows = max(1, _DRAWS_PER_CHUNK // n)
    for start in range(0, resamples, rows):
        chunk = means[start : start + rows]
        chunk[:] = values[rng.integers(n, size=(len(chunk), n))].mean(axis=1)
    return means


def _bca_levels(values: Differences, means: Differences, tails: npt.NDArray[np.float64]) -> list[float]:
    """The levels at which BCa reads the resampled means, in place of `tails` (equation 14.10).

    The bias counts half of the means that equal the sample's, as discrete metrics have many. The acceleration (14.15)
    of a mean needs no jackknife: leaving out value i moves the mean by (value i - mean) / (n - 1).
    """
    deviations = values - values.mean()
    slack = _ROUNDING * np.abs(values).mean()
    shift = means - values.mean()
    below = (np.count_nonzero(shift < -slack) + np.count_nonzero(shift <= slack)) / 2
    # Not 0 or 1, even where a handful of resamples all fall on one side.
    bias = _NORMAL.inv_cdf(min(max(below, 0.5), len(means) - 0.5) / len(means))
    acceleration = (deviations**3).sum() / (6 * (deviations**2).sum() ** 1.5)
    steps = [bias + _NORMAL.inv_cdf(tail) for tail in tails]
    return [_NORMAL.cdf(bias + step / (1 - acceleration * step)) for step in steps]
