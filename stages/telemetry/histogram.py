"""Histograms: observations counted up to fixed bounds, as Prometheus keeps them.

Percentiles do not add up over batches, replicas and time; counts do, and what came between two looks is a difference.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple


class Bracket(NamedTuple):
    """Between which values a quantile lies for certain."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """`counts[i]` observations are at most `bounds[i]`; the last bound is inf. `sum` is that of the observed values, in
    their unit, which is the bounds' too.

    Raises ValueError where that cannot be: other bounds than that, or not as many counts.
    """

    bounds: tuple[float, ...]
    counts: tuple[float, ...]
    sum: float

    def __post_init__(self) -> None:
        if not self.bounds or self.bounds[-1] != math.inf or len(self.bounds) != len(self.counts):
            raise ValueError(f"bounds {self.bounds} and counts {self.counts}: as many, the last bound inf")

    def __add__(self, other: Histogram) -> Histogram:
        """All observations of both, at the bounds that both have: cumulative counts stay exact there."""
        return self._with(other, 1)

    def __sub__(self, other: Histogram) -> Histogram:
        """The observations that came after `other`, at the bounds that both have."""
        return self._with(other, -1)

    def _with(self, other: Histogram, sign: int) -> Histogram:
        theirs = dict(zip(other.bounds, other.counts, strict=True))
        both = {
            bound: count + sign * theirs[bound]
            for bound, count in zip(self.bounds, self.counts, strict=True)
            if bound in theirs
        }
        return Histogram(tuple(both), tuple(both.values()), self.sum + sign * other.sum)

    @property
    def count(self) -> float:
        return self.counts[-1]

    @property
    def mean(self) -> float | None:
        return self.sum / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """As PromQL's histogram_quantile: linear within a bucket, the highest finite bound for what exceeds it.

        None where nothing was observed, or no bound is finite.
        https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile
        """
        if self.count <= 0 or len(self.bounds) < 2:
            return None
        wanted = share * self.count
        index = self._bucket(wanted)
        if index == len(self.bounds) - 1:
            return self.bounds[-2]
        low, before = (self.bounds[index - 1], self.counts[index - 1]) if index else (0.0, 0.0)
        return low + (self.bounds[index] - low) * (wanted - before) / (self.counts[index] - before)

    def bracket(self, share: float) -> Bracket | None:
        """What is certain of a quantile of values that are not negative: its bucket, cut by Markov's inequality (at
        most 1 - share of them exceed mean / (1 - share)). A first bucket that is wide says little; the mean helps.
        """
        if self.count <= 0 or self.mean is None:
            return None
        index = self._bucket(share * self.count)
        low = self.bounds[index - 1] if index else 0.0
        most = self.mean / (1 - share) if share < 1 else math.inf
        return Bracket(low, max(low, min(self.bounds[index], most)))

    def _bucket(self, wanted: float) -> int:
        """The first bucket with observations that brings the count up to `wanted`."""
        places = (index for index, count in enumerate(self.counts) if count >= wanted and count > 0)
        return next(places, len(self.counts) - 1)


class HistogramRecorder:
    """A histogram under construction, for one thread. `bounds` are the finite ones, ascending."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = (*bounds, math.inf)
        self._in_bucket = [0] * len(self._bounds)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._in_bucket[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def freeze(self) -> Histogram:
        return Histogram(self._bounds, tuple(accumulate(self._in_bucket)), self._sum)
