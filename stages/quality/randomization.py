"""Sign flips of per-query differences: the randomization test, in bounded memory.

The differences are taken as a set: their sizes are sorted first, so that for one seed the answer depends neither on the
order of the queries nor on which system is subtracted from which.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Differences = npt.NDArray[np.float64]

# Sums of the same numbers in another order differ by less than this share of their absolute sum.
_ROUNDING = 1e-12

_BLOCK = 8  # differences flipped together: one random byte holds their signs


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


def _all_signed_sums(sizes: Differences) -> Differences:
    """The 2^n sums of n numbers under every choice of signs."""
    sums = np.zeros(1)
    for size in sizes:
        sums = np.concatenate((sums + size, sums - size))
    return sums
