"""What a job will read, and how long that takes: totals from a sample with an interval, seconds from rates."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from stages.quality.interval import mean_interval

T = TypeVar("T")
CONFIDENCE = 0.95
METHOD = "simple random sample; interval of the mean (Student's and Hall's), finite population"


@dataclass(slots=True)
class Reservoir(Generic[T]):
    """A simple random sample of `most` of what is offered, however much that turns out to be (Vitter's algorithm R).

    The same offers and the same seed give the same sample.
    """

    most: int
    seed: int = 0
    offered: int = 0
    kept: list[T] = field(default_factory=list)
    _random: random.Random | None = None

    def offer(self, make: Callable[[], T]) -> None:
        """`make` is called only for what is kept."""
        self._random = self._random or random.Random(self.seed)
        self.offered += 1
        if len(self.kept) < self.most:
            self.kept.append(make())
        elif (place := int(self._random.random() * self.offered)) < self.most:
            self.kept[place] = make()

    def some(self, most: int) -> list[T]:
        """At most so many of what was kept, which are a simple random sample too: slots by themselves are not."""
        if most >= len(self.kept):
            return self.kept
        # Not the numbers that decided what was kept.
        return random.Random(f"some, {self.seed}").sample(self.kept, most)


class Stratum(NamedTuple):
    """A simple random sample, without replacement, of `size` units: the `values` (tokens) of those that were drawn."""

    size: int
    values: Sequence[float]


class Total(NamedTuple):
    """An estimate and its interval, in the unit of the values."""

    value: float
    low: float
    high: float

    @property
    def margin(self) -> float:
        """The farther end's distance, as a share of the value; 0 where all were drawn."""
        return max(self.value - self.low, self.high - self.value) / self.value if self.value else 0.0


def total_of(strata: Sequence[Stratum], confidence: float = CONFIDENCE) -> Total:
    """The sum over all units of several strata, each of which has its own sample; distances add in squares.

    Raises ValueError for a stratum of which nothing was drawn.
    """
    value = below = above = 0.0
    for size, values in strata:
        if not size:
            continue
        if not values:
            raise ValueError("nothing was drawn of a stratum that is not empty")
        mean = math.fsum(values) / len(values)
        value += size * mean
        if len(values) < size and min(values) < max(values):
            found = mean_interval(np.asarray(values, np.float64), confidence)
            unseen = math.sqrt(1 - len(values) / size)
            below += (size * unseen * (mean - found.low)) ** 2
            above += (size * unseen * (found.high - mean)) ** 2
    return Total(value, max(value - math.sqrt(below), 0.0), value + math.sqrt(above))


@dataclass(frozen=True, slots=True)
class Load:
    """What an engine scores: pairs, the mean tokens of a pair's prompt, and, where a text is computed once however many
    pairs have it, distinct texts. None: not known.
    """

    pairs: int
    mean_tokens: float | None = None
    texts: int | None = None


def scoring_s(load: Load, measured: Load, wall_s: float) -> float:
    """Seconds for a load, from another one that took `wall_s`: by distinct texts where both are known, else by pairs;
    and by the mean tokens where both are known. That a longer prompt also attends to more is left out.
    """
    share = load.pairs / measured.pairs
    if load.texts is not None and measured.texts:
        share = load.texts / measured.texts
    if load.mean_tokens is not None and measured.mean_tokens:
        share *= load.mean_tokens / measured.mean_tokens
    return wall_s * share


def error(foretold_s: float, took_s: float) -> float | None:
    """How much longer it took, as a share of what was foretold: -0.08 is 8 % less."""
    return took_s / foretold_s - 1 if foretold_s else None
