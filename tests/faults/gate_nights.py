"""How often is the gate wrong? Simulated nights, whose true drop is known, through the gate's own decision.

A night is so many queries drawn from a population of per-query differences (tests/faults/differences.py), and judged by
`compare_values` and `check_drop` as `rerank-eval gate` does it. Takes two minutes on one core and prints the table of
docs/compare.md: `python -m tests.faults.gate_nights [NIGHTS]`, 2,000 of them in each cell unless told otherwise.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from stages.quality.regression import Ruling, check_drop
from stages.quality.significance import compare_values
from tests.faults.differences import Population, populations

NIGHTS = 2000
QUERIES, MARGINS, BEYOND = (20, 50, 200, 1000), (0.01, 0.03), (0.0, 0.01, 0.02, 0.05)


@dataclass(frozen=True, slots=True)
class Rates:
    """The gate's rulings on nights of one true drop, as shares that sum to 1."""

    passed: float
    cannot_tell: float
    regressed: float


def rates(population: Population, queries: int, margin: float, drop: float, nights: int = NIGHTS) -> Rates:
    """Of nights whose true drop is `drop` (0 or more) where `margin` is allowed. The same for the same arguments."""
    rng = np.random.default_rng([queries, round(1e4 * margin), round(1e4 * drop)])
    before = np.zeros(queries)
    rulings = [
        check_drop("ndcg@10", compare_values(before, night, permutations=1), margin).outcome
        for night in population.with_mean(-drop).nights(nights, queries, rng)
    ]
    return Rates(*(rulings.count(ruling) / nights for ruling in (Ruling.PASSED, Ruling.CANNOT_TELL, Ruling.REGRESSED)))


def rows(nights: int) -> Iterator[list[str]]:
    """Of the table: percentages of nights, those that cannot tell in brackets."""
    for population in populations():
        for queries in QUERIES:
            for margin in MARGINS:
                found = [
                    rates(population, queries, margin, drop, nights) for drop in (0.0, *(margin + b for b in BEYOND))
                ]
                alarms, edge = found[0], found[1]
                yield [
                    population.name,
                    f"{queries:,}",
                    f"{margin:g}",
                    _cell(alarms.regressed, alarms),
                    _cell(edge.regressed, edge),
                    *(_cell(one.passed, one) for one in found[1:]),
                ]


def _cell(wrong: float, found: Rates) -> str:
    return f"{100 * wrong:.1f} ({100 * found.cannot_tell:.0f})"


def main() -> None:
    for row in rows(int(sys.argv[1]) if len(sys.argv) > 1 else NIGHTS):
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
