"""Sign flips and resamples of per-query differences: the randomization test and the bootstrap, in bounded memory.

Both take the differences as a set: they are sorted first, so that for one seed the answer depends neither on the order
of the queries nor, but for its sign, on which system is subtracted from which.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Differences = npt.NDArray[np.float64]

# Sums of the same numbers in another order differ by less than this share of their absolute sum.
_ROUNDING = 1e-12

_BLOCK = 8  # differences flipped together: one random byte holds their signs
_DRAWS_PER_CHUNK = 1_000_000  # 16 MB of indices and values; larger chunks are no faster


class Interval(NamedTuple):
    """A confidence interval, in the metric's unit."""

    low: float
    high: float


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


def bootstrap_interval(
    differences: Differences, confidence: float, resamples: int, rng: np.random.Generator
) -> Interval:
    """Percentile interval of the mean difference, from `resamples` samples of the queries with replacement.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    if differences.sum() < 0:
        low, high = bootstrap_interval(-differences, confidence, resamples, rng)
        return Interval(-high, -low)
    ordered = np.sort(differences)
    means = _resampled_means(ordered, resamples, rng)
    tails = np.array([(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(*np.quantile(means, tails).tolist())


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
