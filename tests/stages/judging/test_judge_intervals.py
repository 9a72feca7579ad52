"""The simulation of judges: it makes the intervals that the verdict makes, and they hold the truth."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from stages.judging.inference import Labelled, Method, infer
from stages.judging.precision import About
from tests.examples import THOROUGH, some_of
from tests.faults.judge_intervals import JUDGED, ROUNDS, count
from tests.faults.judges import Case, cases
from tests.faults.many_intervals import intervals

DOCS = [Path(__file__).parents[3] / "docs" / name for name in ("judging.md", "judging.zh.md")]
RATES = re.compile(r"\| [\d.]+ / [\d.]+ / \d+ \|$")


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.change}-{case.judge}")
@pytest.mark.parametrize("n", [10, 20, 60])
def test_thousands_of_rounds_at_once_are_what_infer_makes_of_each(case: Case, n: int) -> None:
    both = case.draw(4, 100, np.random.default_rng(n))
    for about in About:
        many = intervals(both.people[:, :n], both.model[:, :n], both.model.mean(axis=1), 100, about, 0.95)
        for place, (people, model) in enumerate(zip(both.people, both.model, strict=True)):
            one = infer([Labelled(100, people[:n], model[:n], model[n:])], about, 0.95)
            assert many.told[place] == (one.interval is not None)
            if one.interval is not None:
                assert one.interval == pytest.approx((many.low[place], many.high[place]), abs=1e-9)
                assert many.leaned[place] == (one.method is not Method.PEOPLE)


SOME = ("a bell-rho 0.3", "reranked against first stage-judges itself", "few large gains-rho 0.7")


@pytest.mark.scaled
@pytest.mark.parametrize(
    "case",
    [one for one in cases() if THOROUGH or f"{one.change}-{one.judge}" in SOME],
    ids=lambda case: f"{case.change}-{case.judge}",
)
def test_the_interval_holds_the_truth_as_often_as_promised_whatever_the_judge_is_worth(case: Case) -> None:
    for cell in count(case, some_of(5000), seed=1):
        if cell.is_told:
            assert cell.covered >= stats.binom.ppf(0.001, cell.told, 0.95), cell
            assert cell.wider < 1.03, cell


@pytest.mark.scaled
@pytest.mark.parametrize("about", list(About))
def test_over_strata_and_queries_that_cannot_change_it_holds_the_truth_as_often(about: About) -> None:
    """Strata of different means, spreads and judges, of 60, 20 and 40 queries whose change is known to be none."""
    rng, rounds, held = np.random.default_rng(3), some_of(5000), 0
    for _ in range(rounds):
        sizes = (60, 20, 40) if about is About.THESE else rng.multinomial(120, [0.5, 1 / 6, 1 / 3])
        strata, total = [], 0.0
        for size, mean, spread, bias in ((sizes[0], 0.3, 0.2, 0.1), (sizes[1], -0.1, 0.4, -0.2)):
            y = rng.normal(mean, spread, size)
            f = 0.5 * y + rng.normal(bias, 0.5 * spread, size)
            n = round(0.4 * size)
            strata.append(Labelled(size, y[:n], f[:n], f[n:]))
            total += float(y.sum())
        none = np.zeros(sizes[2])
        found = infer([*strata, Labelled(sizes[2], none, none, np.zeros(0))], about, 0.95)
        assert found.interval is not None
        truth = total / 120 if about is About.THESE else 0.3 / 2 - 0.1 / 6
        held += found.interval.low <= truth <= found.interval.high
    assert held >= stats.binom.ppf(0.001, rounds, 0.95)


def test_the_tables_in_both_languages_are_those_of_the_simulation_and_keep_the_promise() -> None:
    rows = [
        [line.strip("| ").split(" | ") for line in path.read_text("utf-8").splitlines() if RATES.search(line)]
        for path in DOCS
    ]
    english, chinese = rows
    assert [row[1:] for row in english] == [row[1:] for row in chinese]
    assert len(english) == len({one.judge for one in cases()})
    for row in english:
        assert len(row) == len(JUDGED) + 1
        for lowest, width, _ in (cell.split(" / ") for cell in row[1:]):
            # The least of 10,000 that does not reject 95 %, and the width that a model may cost.
            assert float(lowest) >= 100 * stats.binom.ppf(0.01, ROUNDS, 0.95) / ROUNDS
            assert float(width) <= 1.03
