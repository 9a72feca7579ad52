"""Cohen's kappa of many tables at once, and its interval by a bootstrap over queries.

A coefficient of agreement for nominal scales, Educational and Psychological Measurement 20, 1960; weighted: Weighted
kappa, Psychological Bulletin 70, 1968. The same formula as scikit-learn's `cohen_kappa_score`, which takes one list of
pairs at a time, where a bootstrap has two thousand tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy import special

from stages.grading.record import Told

Tables = npt.NDArray[np.float64]
Values = npt.NDArray[np.float64]

RESAMPLES = 2000
MIN_QUERIES = 10
"""Fewer queries give no interval: too little is known of how queries differ."""

_AT_ONCE = 200
_UNDEFINED = 0.05  # share of the resamples without a kappa from which on there is no interval


def kappas(tables: Tables, *, quadratic: bool = False) -> Values:
    """Of each table [..., k, k] of counts; NaN where nobody could agree by more than chance: all is of one grade."""
    size = tables.shape[-1]
    apart = np.subtract.outer(np.arange(size), np.arange(size))
    weights = (apart**2 if quadratic else apart != 0).astype(np.float64)
    shares = tables / np.maximum(tables.sum(axis=(-2, -1), keepdims=True), 1)
    by_chance = np.einsum("...i,...j,ij->...", shares.sum(-1), shares.sum(-2), weights)
    observed = np.einsum("...ij,ij->...", shares, weights)
    return np.where(by_chance > 0, 1 - observed / np.where(by_chance > 0, by_chance, 1), np.nan)


def resampled(tables: Tables, seed: int) -> Tables:
    """[q, ...] of each query -> [RESAMPLES, ...]: sums over as many queries, drawn with replacement."""
    generator, queries = np.random.default_rng(seed), len(tables)
    flat = tables.reshape(queries, -1)
    drawn = [
        generator.multinomial(queries, np.full(queries, 1 / queries), size=_AT_ONCE) @ flat
        for _ in range(RESAMPLES // _AT_ONCE)
    ]
    return np.concatenate(drawn).reshape(RESAMPLES, *tables.shape[1:])


def bootstrapped(tables: Tables, drawn: Tables, of: Callable[[Tables], Values], confidence: float) -> Told:
    """A statistic of the summed table, with its interval; `drawn` are `resampled(tables)`."""
    value = float(of(tables.sum(0)))
    if not np.isfinite(value):
        return Told(
            None, None, "all pairs have one grade on both sides, so that no agreement beyond chance can be seen"
        )
    if len(tables) < MIN_QUERIES:
        return Told(value, None, f"no interval: fewer than {MIN_QUERIES} queries")
    values = of(drawn)
    known = values[np.isfinite(values)]
    if len(known) < (1 - _UNDEFINED) * len(values):
        return Told(value, None, "no interval: too few queries have another grade than the rest")
    low, high = np.quantile(known, _ends(len(tables), confidence))
    return Told(value, (float(low), float(high)))


def _ends(queries: int, confidence: float) -> tuple[float, float]:
    """Which quantiles are the ends: farther out the fewer queries there are, as Student's are (the expanded percentile
    interval of Hesterberg, What teachers should know about the bootstrap, The American Statistician 69, 2015).
    """
    student = float(special.stdtrit(queries - 1, (1 + confidence) / 2))
    beyond = float(special.ndtr(-math.sqrt(queries / (queries - 1)) * student))
    return beyond, 1 - beyond
