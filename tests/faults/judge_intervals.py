"""People judged some queries and a model all: does the interval hold the truth, whatever the judge is worth?

Takes some minutes on one core and prints the table of docs/judging.md: `python -m tests.faults.judge_intervals
[--rounds 10000] [--only TEXT] [--kept FILE] [--unseen]`. A cell is a kind of change, a judge, a number of judged
queries and an estimand; each round makes an interval as `stages.judging.inference` does, the choice of the method
included. `--only` takes those whose change and judge hold the text; `--kept` is where their counts are added, a line of
JSON each, and those that it has already are not made again. `--unseen` takes changes that the rule's numbers were not
chosen on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from stages.judging.precision import About
from tests.faults.judges import Case, Values, cases, unseen_cases
from tests.faults.many_intervals import intervals

ROUNDS, QUERIES = 10_000, 500
JUDGED = (10, 20, 50, 200)
CONFIDENCE = 0.95
CHUNK = 1000  # rounds drawn at once
LEAST_TOLD = 0.1
"""Of rounds that tell an interval; where it is rarer, as with ten judged queries of which a third changed, the few that
are told are no sample of anything.
"""


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
    def is_told(self) -> bool:
        return self.told >= LEAST_TOLD * self.rounds

    @property
    def rejects(self) -> bool:
        """Whether 95 % is rejected from below (binomial, one-sided at 1 %)."""
        return self.told > 0 and self.covered < stats.binom.ppf(0.01, self.told, CONFIDENCE)


def count(case: Case, rounds: int, seed: int = 0) -> list[Cell]:
    """Cells of every number and estimand, over the same rounds: of each the first n queries are judged."""
    rng = np.random.default_rng(seed)
    counts = {(n, about): np.zeros(6) for n in JUDGED for about in About}
    for start in range(0, rounds, CHUNK):
        both = case.draw(min(CHUNK, rounds - start), QUERIES, rng)
        truths = {About.THESE: both.people.mean(axis=1), About.LIKE_THESE: np.full(len(both.people), both.truth)}
        mean_f = both.model.mean(axis=1)
        for n, about in counts:
            counts[n, about] += _counted(both.people[:, :n], both.model[:, :n], mean_f, about, truths[about])
    return [
        Cell(case.change, case.judge, n, about.value, rounds, *(int(one) for one in found[:4]), *found[4:].tolist())
        for (n, about), found in counts.items()
    ]


def _counted(people: Values, model: Values, mean_f: Values, about: About, truth: Values) -> Values:
    """Told, covered, above, leaned, and the two widths, of so many rounds."""
    one = intervals(people, model, mean_f, QUERIES, about, CONFIDENCE)
    told, above = one.told, one.low > truth
    return np.array(
        [
            told.sum(),
            (told & ~above & (one.high >= truth)).sum(),
            (told & above).sum(),
            one.leaned.sum(),
            (one.high - one.low)[told].sum(),
            (one.alone_high - one.alone_low)[told].sum(),
        ]
    )


def counted(among: Sequence[Case], rounds: int, only: str = "", kept: Path | None = None) -> Iterator[Cell]:
    """Those of every change and judge whose names hold `only`."""
    lines = kept.read_text("utf-8").splitlines() if kept and kept.exists() else []
    done = [one for one in (Cell(**json.loads(line)) for line in lines) if one.rounds == rounds]
    for case in among:
        if only not in f"{case.change}, {case.judge}":
            continue
        found = [one for one in done if (one.change, one.judge) == (case.change, case.judge)]
        if not found:
            found = count(case, rounds)
            if kept:
                with kept.open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(asdict(one)) + "\n" for one in found)
        yield from found


def table(found: Sequence[Cell]) -> Iterator[str]:
    """A row for each judge: the lowest coverage of any cell, the mean width, and how often the model is leaned on. Then
    one for each kind of change: how often an interval is told. Cells that tell less than LEAST_TOLD are left out.
    """
    yield f"| judge | {' | '.join(f'{n} judged' for n in JUDGED)} |"
    yield "|---" * (len(JUDGED) + 1) + "|"
    for judge in dict.fromkeys(one.judge for one in found):
        row = [[one for one in found if (one.judge, one.n) == (judge, n) and one.is_told] for n in JUDGED]
        yield f"| {judge} | {' | '.join(_cell(of_n) for of_n in row)} |"
    for change in dict.fromkeys(one.change for one in found):
        row = [[one for one in found if (one.change, one.n) == (change, n)] for n in JUDGED]
        yield f"| {change} | {' | '.join(f'{np.mean([one.told / one.rounds for one in of_n]):.0%}' for of_n in row)} |"


def _cell(found: Sequence[Cell]) -> str:
    if not found:
        return "-"
    leaned = sum(one.leaned for one in found) / sum(one.told for one in found)
    lowest, width = min(one.coverage for one in found), np.mean([one.wider for one in found])
    return f"{100 * lowest:.1f} / {width:.2f} / {100 * leaned:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", default="")
    parser.add_argument("--kept", type=Path)
    parser.add_argument("--unseen", action="store_true")
    options = parser.parse_args()
    found = []
    for one in counted(unseen_cases() if options.unseen else cases(), options.rounds, options.only, options.kept):
        found.append(one)
        told = f"{one.coverage:.2%} of {one.told:,} told, width {one.wider:.3f}, leaned {one.leaned:,}"
        name = f"{one.change}, {one.judge}, {one.n} judged, {one.about}"
        print(f"{name}: {told}{' REJECTED' if one.rejects else ''}", flush=True)
    print("\n".join(table(found)))


if __name__ == "__main__":
    main()
