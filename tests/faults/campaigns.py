"""Does a plan of judging keep its promise? Campaigns over populations of changes whose mean is known.

Takes some minutes on one core and prints the table of docs/judging.md: `python -m tests.faults.campaigns [CAMPAIGNS]`,
500 of them for each row unless told otherwise. Each draws its queries from a population of `tests.faults.differences`,
judges as many as the rule of `stages.judging.number` says, and looks at the interval when the number stands.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from stages.judging.number import Aim, first_number, next_number
from stages.judging.precision import About, Estimate, Stratum, estimate
from tests.faults.differences import Population, Values, populations

CAMPAIGNS = 500
LEAST_COVERED = 467
"""Of 500: fewer reject 95 % (binomial, one-sided at 0.1 %)."""
QUERIES, TRUE_MEAN = 2000, 0.02
WIDTHS = (0.03, 0.05)


@dataclass(frozen=True, slots=True)
class Cell:
    """A kind of campaign. `known` is that share of the queries without a change of which both lists are the same."""

    population: Population
    about: About
    width: float
    known: float = 0.0
    queries: int = QUERIES

    @property
    def aim(self) -> Aim:
        return Aim(self.width, 0.95, self.about)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a campaign ended: how many queries were judged, and what was told against the `truth`."""

    judged: int
    told: Estimate | None
    truth: float
    width: float

    @property
    def covered(self) -> bool:
        return self.told is not None and self.told.interval.low <= self.truth <= self.told.interval.high

    @property
    def kept(self) -> bool:
        return self.told is not None and self.told.reach <= self.width


@dataclass(frozen=True, slots=True)
class Rates:
    covered: float
    kept: float
    judged: float
    most: int


def campaign(values: Values, known: int, aim: Aim, truth: float) -> Ended:
    """`values` are the changes of the queries to judge, in the order of the draw; `known` further ones have none."""
    drawn = len(values)
    number = first_number(aim, drawn + known, drawn, None)
    while True:
        strata = [Stratum(drawn, values[:number]), *([Stratum(known, np.zeros(known))] if known else [])]
        after = next_number(aim, strata, number, drawn)
        if after == number:
            return Ended(number, estimate(strata, aim.about, aim.confidence), truth, aim.width)
        number = after


def campaigns(cell: Cell, number: int, seed: int = 0) -> list[Ended]:
    rng = np.random.default_rng(seed)
    population = cell.population.with_mean(TRUE_MEAN)
    ended = []
    for values in population.nights(number, cell.queries, rng):
        truth = population.mean if cell.about is About.LIKE_THESE else float(values.mean())
        known = rng.random(len(values)) < np.where(values == 0, cell.known, 0.0)
        ended.append(campaign(rng.permutation(values[~known]), int(known.sum()), cell.aim, truth))
    return ended


def rates(ended: list[Ended]) -> Rates:
    return Rates(
        covered=float(np.mean([one.covered for one in ended])),
        kept=float(np.mean([one.kept for one in ended])),
        judged=float(np.mean([one.judged for one in ended])),
        most=max(one.judged for one in ended),
    )


def cells() -> list[Cell]:
    """The rows of the table."""
    return [
        Cell(population, about, width, known)
        for population in populations()
        for about in About
        for width in WIDTHS
        for known in (0.0, 0.8)
    ]


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else CAMPAIGNS
    for cell in cells():
        found = rates(campaigns(cell, number))
        told = (cell.population.name, cell.about.value, f"{cell.width:g}", f"{cell.known:.0%}")
        counts = (f"{found.covered:.1%}", f"{found.kept:.1%}", f"{found.judged:.0f}", f"{found.most:,}")
        print(f"| {' | '.join((*told, *counts))} |", flush=True)


if __name__ == "__main__":
    main()
