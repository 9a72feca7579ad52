"""The number of queries: the smallest that the width takes, by spread alone; and the promise, over whole campaigns."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stages.judging.number import LEAST, LEAST_CHANGED, Aim, first_number, next_number, worst_number
from stages.judging.precision import DEGREES, About, Stratum, estimate
from tests.examples import THOROUGH, some_of
from tests.faults.campaigns import CAMPAIGNS, LEAST_COVERED, Cell, campaign, campaigns, cells

AIM = Aim(0.03, 0.95, About.LIKE_THESE)
DOCS = [Path(__file__).parents[3] / "docs" / name for name in ("judging.md", "judging.zh.md")]
RNG = np.random.default_rng(5)
changes = st.lists(st.integers(-100, 100).map(lambda hundredths: hundredths / 100), min_size=30, max_size=60).map(
    np.array
)


def test_without_anything_known_the_pilot_comes_first() -> None:
    assert first_number(AIM, 1000, 800, None) == 30
    assert first_number(AIM, 1000, 12, None) == 12


def test_from_an_assumed_spread_it_is_the_textbooks_number() -> None:
    assert first_number(AIM, 10**6, 10**6, 0.2) == math.ceil((stats.t.ppf(0.975, DEGREES) * 0.2 / 0.03) ** 2)


def test_of_exactly_these_queries_it_is_corrected_for_their_number() -> None:
    without = (stats.t.ppf(0.975, DEGREES) * 0.2 / 0.03) ** 2
    aim = Aim(0.03, 0.95, About.THESE)
    assert first_number(aim, 300, 300, 0.2) == math.ceil(without / (1 + without / 300))


def test_queries_that_cannot_change_make_it_smaller() -> None:
    assert first_number(Aim(0.03, 0.95, About.THESE), 1000, 250, 0.2) < first_number(
        Aim(0.03, 0.95, About.THESE), 1000, 1000, 0.2
    )


def test_a_small_spread_asks_for_no_fewer_than_any_interval_needs() -> None:
    assert first_number(AIM, 1000, 1000, 0.001) == LEAST


def test_after_the_pilot_it_is_the_smallest_with_students_quantile() -> None:
    values = np.concatenate((np.full(15, 0.15), np.full(15, -0.15)))  # no skewness
    number = next_number(AIM, [Stratum(5000, values)], 30, 5000)
    t = stats.t.ppf(0.975, DEGREES)
    assert number == math.ceil((t * values.std(ddof=1) / AIM.width) ** 2)


@given(changes)
def test_it_never_looks_at_which_way_the_change_goes(values: np.ndarray) -> None:  # type: ignore[type-arg]
    one, other = (next_number(AIM, [Stratum(2000, sign * values)], len(values), 2000) for sign in (1, -1))
    assert one == other


@given(changes, st.sampled_from(list(About)))
def test_it_stays_only_where_the_interval_is_as_narrow_as_asked(values: np.ndarray, about: About) -> None:  # type: ignore[type-arg]
    aim, strata = Aim(0.1, 0.95, about), [Stratum(200, values), Stratum(50, np.zeros(50))]
    number = next_number(aim, strata, len(values), 200)
    found = estimate(strata, about, 0.95)
    if number == len(values):
        assert found is not None and found.reach <= 0.1
        assert np.count_nonzero(values) >= LEAST_CHANGED
    assert len(values) <= number <= 200


def test_while_few_queries_changed_the_spread_is_a_guess_and_more_are_judged() -> None:
    values = np.array([0.0] * 28 + [0.01, -0.01])
    assert next_number(AIM, [Stratum(500, values)], 30, 500) == 60
    assert next_number(AIM, [Stratum(500, np.zeros(30))], 30, 500) == 60


def test_it_ends_where_there_are_no_more_to_draw() -> None:
    values = RNG.normal(0, 0.5, 40)
    assert next_number(AIM, [Stratum(40, values)], 40, 40) == 40
    assert next_number(AIM, [Stratum(60, values)], 40, 60) == 60


@pytest.mark.parametrize("about", list(About))
def test_no_campaign_needs_more_than_the_largest_spread_there_is(about: About) -> None:
    aim = Aim(0.2, 0.95, about)
    values = np.resize([1.0, -1.0], 3000)[RNG.permutation(3000)]
    ended = campaign(values, 0, aim, 0.0)
    assert ended.judged <= worst_number(aim, 3000, 3000) < 3000


@pytest.mark.scaled
@pytest.mark.parametrize(
    "cell",
    cells() if THOROUGH else cells()[1::4],
    ids=lambda cell: f"{cell.population.name}-{cell.about}-{cell.width}-{cell.known}",
)
def test_the_interval_holds_the_true_change_as_often_as_promised_and_is_no_wider_than_asked(cell: Cell) -> None:
    number = some_of(CAMPAIGNS)
    ended = campaigns(cell, number, seed=1)
    # As LEAST_COVERED of CAMPAIGNS: fewer reject 95 %.
    least = stats.binom.ppf(0.001, number, 0.95) if number < CAMPAIGNS else LEAST_COVERED
    assert sum(one.covered for one in ended) >= least
    assert all(one.kept for one in ended)


def test_the_table_of_campaigns_in_both_languages_keeps_the_promise() -> None:
    tables = [
        [
            line.split(" | ")
            for line in path.read_text("utf-8").splitlines()
            if re.search(r"% \| [\d,]+ \| [\d,]+ \|$", line)
        ]
        for path in DOCS
    ]
    english, chinese = tables
    assert len(english) == len(cells())
    assert [row[1:] for row in english] == [row[1:] for row in chinese]
    for row in english:
        assert float(row[4].rstrip("%")) / 100 * CAMPAIGNS >= LEAST_COVERED - 0.5
        assert row[5] == "100.0%"
