"""What judged queries tell of the mean change: formulas written out, and samples drawn by the thousand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from stages.judging.precision import DEGREES, About, Stratum, estimate, spread
from stages.quality.interval import Interval, mean_interval

VALUES = np.array([0.0] * 12 + [0.1, 0.1, 0.2, -0.05, 0.3, 0.5, -0.2, 0.15])


def wider(interval: Interval) -> Interval:
    """The same with Student's quantile at DEGREES of freedom, which 20 values have."""
    assert len(VALUES) - 1 == DEGREES
    return interval


def test_of_queries_like_these_the_interval_is_that_of_every_other_comparison() -> None:
    found = estimate([Stratum(500, VALUES)], About.LIKE_THESE, 0.95)
    assert found is not None
    assert found.mean == pytest.approx(VALUES.mean())
    assert found.interval == pytest.approx(wider(mean_interval(VALUES, 0.95)))


def test_of_exactly_these_queries_it_is_narrower_by_the_finite_population_correction() -> None:
    found, other = (estimate([Stratum(50, VALUES)], about, 0.95) for about in About)
    assert found is not None and other is not None
    assert found.reach == pytest.approx(other.reach * math.sqrt(1 - len(VALUES) / 50))


def test_once_all_of_these_queries_are_judged_the_mean_is_exact() -> None:
    found = estimate([Stratum(len(VALUES), VALUES), Stratum(20, np.zeros(20))], About.THESE, 0.95)
    assert found is not None
    assert found.interval == (found.mean, found.mean)
    assert found.mean == pytest.approx(VALUES.sum() / 40)


def test_of_queries_like_these_it_never_is() -> None:
    found = estimate([Stratum(len(VALUES), VALUES)], About.LIKE_THESE, 0.95)
    assert found is not None
    assert found.interval == pytest.approx(wider(mean_interval(VALUES, 0.95)))


def test_queries_that_are_known_to_have_no_change_take_part_without_an_error() -> None:
    alone = estimate([Stratum(100, VALUES)], About.THESE, 0.95)
    beside = estimate([Stratum(100, VALUES), Stratum(300, np.zeros(300))], About.THESE, 0.95)
    assert alone is not None and beside is not None
    assert beside.mean == pytest.approx(alone.mean / 4)
    assert beside.reach == pytest.approx(alone.reach / 4)


def test_a_stratified_estimate_is_cochrans_with_satterthwaites_degrees() -> None:
    sizes, samples = (60, 30), (np.array([0.1, 0.3, -0.1, 0.1, 0.2, 0.0]), np.array([-0.4, 0.4, 0.0]))
    strata = [Stratum(size, values) for size, values in zip(sizes, samples, strict=True)]
    found = estimate(strata, About.THESE, 0.95)
    assert found is not None
    parts = [
        (size / 90) ** 2 * (1 - len(values) / size) * values.var(ddof=1) / len(values)
        for size, values in zip(sizes, samples, strict=True)
    ]
    degrees = sum(parts) ** 2 / (parts[0] ** 2 / 5 + parts[1] ** 2 / 2)
    assert found.mean == pytest.approx(2 / 3 * 0.1)
    assert found.reach >= stats.t.ppf(0.975, degrees) * math.sqrt(sum(parts)) - 1e-12
    known = spread(strata, About.THESE)
    assert known is not None and known.degrees == pytest.approx(degrees)


@pytest.mark.parametrize("about", list(About))
def test_the_error_is_how_far_estimates_scatter(about: About) -> None:
    """Two strata of different means, a third of unchanged queries, sampled in proportion, 3,000 times."""
    rng = np.random.default_rng(1)
    true = 0.3 * 0.5 + 0.1 * 0.25
    off, errors = [], []
    for _ in range(3000):
        many, few = rng.normal(0.3, 0.2, 100), rng.normal(0.1, 0.4, 50)
        if about is About.LIKE_THESE:  # the sizes are chance, too
            counts = rng.multinomial(200, [0.5, 0.25, 0.25])
            many, few = rng.normal(0.3, 0.2, counts[0]), rng.normal(0.1, 0.4, counts[1])
        rest = 200 - len(many) - len(few)
        strata = [
            Stratum(len(many), many[: round(0.4 * len(many))]),
            Stratum(len(few), few[: round(0.4 * len(few))]),
            Stratum(rest, np.zeros(rest)),
        ]
        truth = true if about is About.LIKE_THESE else (many.sum() + few.sum()) / 200
        found, known = estimate(strata, about, 0.95), spread(strata, about)
        assert found is not None and known is not None
        off.append(found.mean - truth)
        errors.append(known.error(sum(len(one.values) for one in strata[:2]), about))
    assert np.mean(off) == pytest.approx(0, abs=5 * np.std(off) / math.sqrt(3000))
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(off), rel=0.06)


@pytest.mark.parametrize(
    "strata",
    [
        [Stratum(50, np.array([0.1]))],
        [Stratum(50, VALUES), Stratum(9, np.array([0.2]))],
        [Stratum(50, np.zeros(30))],
        [Stratum(50, np.full(30, 0.25))],
        [Stratum(50, np.array([]))],
    ],
    ids=["one query", "one of a stratum", "none changed", "all alike", "none"],
)
def test_where_there_is_no_spread_nothing_is_told(strata: list[Stratum]) -> None:
    for about in About:
        assert spread(strata, about) is None
        assert estimate(strata, about, 0.95) is None
