"""How many queries: a rule that is fixed before the first judgement, and looks at spread alone, never at the estimate.

The first queries, the pilot, tell the spread; from it follows the number that the asked width takes, with Student's
quantile at no more than DEGREES of freedom (Stein, A two-sample test for a linear hypothesis whose power is independent
of the variance, Annals of Mathematical Statistics 16, 1945; for finite populations Cox, Estimation by double sampling,
Biometrika 39, 1952). Stein's own interval goes on with the pilot's spread, which is too small where few queries carry
the change and the pilot met few of them. Here the interval is made from all judged queries; where it is wider than
asked, the number is renewed by the same rule, a third time and further (Hall, Asymptotic theory of triple sampling for
sequential estimation of a mean, Annals of Statistics 9, 1981). So the width is kept as long as there are queries, and
the estimate is first looked at when the number stands.

docs/judging.md has how often the interval then misses, by simulation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.judging.precision import DEGREES, About, Spread, Stratum, estimate, spread
from stages.quality.significance import TIE

PILOT = 30
"""Queries of the pilot, unless the user says otherwise."""

LEAST = 20
"""Of fewer queries nothing is told, as by the gate: `stages.quality.regression`."""

LEAST_CHANGED = 30
"""With fewer queries whose change is not 0 the spread is a guess: the number grows by a pilot's until there are."""

SPARE = 1.25
"""A pilot's spread may be larger than the largest there is, and skewed."""


@dataclass(frozen=True, slots=True)
class Aim:
    """An interval whose ends are at most `width` from the estimate. `pilot` queries are judged before it is known how
    many that takes.
    """

    width: float
    confidence: float
    about: About
    pilot: int = PILOT


def first_number(aim: Aim, population: int, open_queries: int, sd: float | None) -> int:
    """How many to begin with: the pilot's, or as many as the width takes where the spread is taken to be `sd`, the
    standard deviation of a query's change over all `population` queries. Never less than LEAST, as far as there are.
    """
    if sd is None:
        return min(open_queries, aim.pilot)
    share = open_queries / population if population else 1.0
    if share <= 0 or sd <= 0:
        return min(open_queries, LEAST)
    return min(open_queries, max(LEAST, _smallest(_assumed(population, open_queries, sd), aim, LEAST) or open_queries))


def narrowest(aim: Aim, population: int, open_queries: int, sd: float) -> float:
    """How far the interval's ends are from the estimate when all `open_queries` are judged, with the spread `sd`."""
    return _assumed(population, open_queries, sd).reach(open_queries, aim.about, aim.confidence)


def _assumed(population: int, open_queries: int, sd: float) -> Spread:
    """All of it lies within the queries whose change is open: the others have none."""
    return Spread(population, open_queries, within=sd**2, whole=sd**2, skewness=0.0, degrees=DEGREES)


def next_number(aim: Aim, strata: Sequence[Stratum], number: int, limit: int) -> int:
    """The number after that of the first `number` drawn queries, all of which are judged: the same number where the
    rule is content, or `limit` queries, which is as many as can be drawn, are. `strata` hold their changes, and those
    of the queries that are known to have none.
    """
    if number >= limit:
        return number
    changed = sum(int(np.count_nonzero(np.abs(one.values) >= TIE)) for one in strata)
    found = spread(strata, aim.about)
    if found is None or changed < LEAST_CHANGED:
        return min(limit, number + aim.pilot)
    now = estimate(strata, aim.about, aim.confidence)
    if now is not None and now.reach <= aim.width:
        return number
    needed = _smallest(found, aim, number + 1)
    return limit if needed is None else min(limit, max(needed, number + 1))


def worst_number(aim: Aim, population: int, open_queries: int) -> int:
    """As many as the width could take where no query can change by more than 1: the largest spread that there is."""
    share = open_queries / population if population else 1.0
    assumed = Spread(population, open_queries, within=share, whole=share, skewness=0.0, degrees=DEGREES)
    needed = _smallest(assumed, aim, LEAST) or open_queries
    return min(open_queries, max(aim.pilot, LEAST, math.ceil(SPARE * needed)))


def _smallest(found: Spread, aim: Aim, least: int) -> int | None:
    """The smallest number, `least` or more, with which the interval is as narrow as asked; None where there is none."""
    low, high = min(least, found.open_queries), found.open_queries
    if found.reach(high, aim.about, aim.confidence) > aim.width:
        return None
    while low < high:
        middle = (low + high) // 2
        if found.reach(middle, aim.about, aim.confidence) <= aim.width:
            high = middle
        else:
            low = middle + 1
    return low
