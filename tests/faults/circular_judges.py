"""How often is a judge that favours the reranker told, and one that does not accused?

Prints the table of docs/judging.md: `python -m tests.faults.circular_judges [ROUNDS]`, 2,000 for each number unless
told otherwise; takes a minute on one core. Judges are those of `tests.faults.graded`: two that favour, two that do not,
whose mean error is set to 0. A number is the share, in percent, of rounds whose judge is said to favour one side.
"""

from __future__ import annotations

import sys

import numpy as np

from stages.judging.circularity import circularity
from stages.judging.inference import Labelled
from tests.faults.graded import FOREIGN, ITSELF, NEUTRAL, NO_GAIN, Gains, Scenario, gains
from tests.faults.judge_intervals import CONFIDENCE, JUDGED, QUERIES

ROUNDS = 2000
FAVOUR, NULL = (ITSELF, FOREIGN), (NEUTRAL, NO_GAIN)


def told(scenario: Scenario, n: int, rounds: int, seed: int = 0) -> int:
    """In how many rounds, with n queries that people judged of QUERIES."""
    rng = np.random.default_rng([seed, n])
    found = population(scenario)
    places = rng.integers(0, len(found.people), (rounds, QUERIES))
    return sum(circularity([_labelled(found, row, n)], CONFIDENCE).told for row in places)


def population(scenario: Scenario) -> Gains:
    found = gains(scenario)
    if scenario in FAVOUR:
        return found
    return Gains(found.people, found.model - (found.model.mean() - found.people.mean()))


def _labelled(found: Gains, row: np.ndarray, n: int) -> Labelled:  # type: ignore[type-arg]
    return Labelled(len(row), found.people[row[:n]], found.model[row[:n]], found.model[row[n:]])


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    for scenario in (*FAVOUR, *NULL):
        shares = [f"{100 * told(scenario, n, rounds) / rounds:.1f}" for n in JUDGED]
        print(f"| {scenario.name} | {' | '.join(shares)} |", flush=True)


if __name__ == "__main__":
    main()
