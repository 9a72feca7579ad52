"""People judged some queries and a model all: does the interval hold the truth, whatever the judge is worth?

Takes half an hour on one core and prints the table of docs/judging.md: `python -m tests.faults.judge_intervals
[--rounds 10000] [--only TEXT] [--kept FILE]`. A cell is a kind of change, a judge, a number of judged queries and an
estimand; each round goes through `stages.judging.inference.infer`, the choice of the method included. `--only` takes
cells whose name holds the text; `--kept` is where their counts are added, a line of JSON each, and those that it has
already are not made again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from stages.judging.inference import Labelled, Method, infer
from stages.judging.precision import About, Stratum, estimate
from tests.faults.differences import Population
from tests.faults.judges import JUDGES, Both, changes, draw

ROUNDS, QUERIES = 10_000, 500
JUDGED = (10, 20, 50, 200)
CONFIDENCE = 0.95
CHUNK = 1000  # rounds drawn at once


@dataclass(frozen=True, slots=True)
class Cell:
    """What one cell counted: of so many `rounds` those with an interval, which of them held the truth or lay wholly
    above it, those that leaned on the model; and the mean width of the intervals, and of people's alone in their place.
    """

    change: str
    judge: str
    n: int
    about: str
    rounds: int
    told: int
    covered: int
    above: int
    leaned: int
    width: float
    alone: float

    @property
    def coverage(self) -> float:
        return self.covered / self.told if self.told else 1.0

    @property
    def wider(self) -> float:
        """Mean width against people alone."""
        return self.width / self.alone if self.alone else 1.0

    @property
    def rejects(self) -> bool:
        """Whether 95 % is rejected from below (binomial, one-sided at 1 %)."""
        return self.told > 0 and self.covered < stats.binom.ppf(0.01, self.told, CONFIDENCE)


def count(population: Population, judge: str, n: int, about: About, rounds: int, seed: int = 0) -> Cell:
    rng = np.random.default_rng([seed, n])
    told = covered = above = leaned = 0
    width = alone = 0.0
    for start in range(0, rounds, CHUNK):
        both = draw(population, JUDGES[judge], min(CHUNK, rounds - start), QUERIES, rng)
        for labelled, truth in _rounds(both, n, about):
            found = infer([labelled], about, CONFIDENCE)
            if found.interval is None:
                continue
            low, high = found.interval
            told += 1
            covered += low <= truth <= high
            above += low > truth
            leaned += found.method in (Method.PPI, Method.TUNED)
            width += high - low
            people = estimate([Stratum(QUERIES, labelled.people)], about, CONFIDENCE)
            assert people is not None
            alone += people.interval.high - people.interval.low
    return Cell(population.name, judge, n, about.value, rounds, told, int(covered), int(above), leaned, width, alone)


def _rounds(both: Both, n: int, about: About) -> Iterator[tuple[Labelled, float]]:
    for people, model in zip(both.people, both.model, strict=True):
        truth = float(people.mean()) if about is About.THESE else both.truth
        yield Labelled(QUERIES, people[:n], model[:n], model[n:]), truth


def cells(rounds: int, only: str = "", kept: Path | None = None) -> Iterator[Cell]:
    done = [Cell(**json.loads(line)) for line in kept.read_text("utf-8").splitlines()] if kept and kept.exists() else []
    known = {_name(one.change, one.judge, one.n, one.about): one for one in done if one.rounds == rounds}
    for population in changes():
        for judge in JUDGES:
            for n in JUDGED:
                for about in About:
                    name = _name(population.name, judge, n, about)
                    if only not in name:
                        continue
                    if name in known:
                        yield known[name]
                        continue
                    cell = count(population, judge, n, about, rounds)
                    if kept:
                        with kept.open("a", encoding="utf-8") as file:
                            file.write(json.dumps(asdict(cell)) + "\n")
                    yield cell


def _name(change: str, judge: str, n: int, about: str) -> str:
    return f"{change}, {judge}, {n} judged, {about}"


def table(found: Sequence[Cell]) -> Iterator[str]:
    """A row for each judge; in a column the lowest coverage over changes and estimands, and the mean width."""
    yield f"| judge | {' | '.join(f'{n} judged' for n in JUDGED)} |"
    yield "|---" * (len(JUDGED) + 1) + "|"
    for judge in JUDGES:
        row = [[one for one in found if (one.judge, one.n) == (judge, n)] for n in JUDGED]
        yield f"| {judge} | {' | '.join(_cell(of_n) for of_n in row)} |"


def _cell(found: Sequence[Cell]) -> str:
    if not found:
        return "-"
    leaned = sum(one.leaned for one in found) / max(1, sum(one.told for one in found))
    return f"{min(one.coverage for one in found):.1%} / {np.mean([one.wider for one in found]):.2f} / {leaned:.0%}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="")
    parser.add_argument("--kept", type=Path)
    options = parser.parse_args()
    found = []
    for one in cells(options.rounds, options.only, options.kept):
        found.append(one)
        told = f"{one.coverage:.2%} of {one.told:,} told, width {one.wider:.3f}, leaned {one.leaned:,}"
        print(
            f"{_name(one.change, one.judge, one.n, one.about)}: {told}{' REJECTED' if one.rejects else ''}", flush=True
        )
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
