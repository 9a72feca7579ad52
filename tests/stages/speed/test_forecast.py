"""Totals from samples, whose intervals hold the truth as often as they say; and seconds from measured rates."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.quality.interval import mean_interval
from stages.speed.forecast import Load, Reservoir, Stratum, Total, error, scoring_s, total_of

Lengths = Callable[[np.random.Generator, int], np.ndarray]
# Tokens of documents: of a web corpus, cut at a limit, of one length but for a few, short and long ones mixed.
LENGTHS: dict[str, Lengths] = {
    "lognormal": lambda draw, n: np.ceil(draw.lognormal(5, 0.6, n)),
    "cut at 512": lambda draw, n: np.minimum(np.ceil(draw.lognormal(5.8, 0.8, n)), 512),
    "geometric": lambda draw, n: draw.geometric(1 / 120, n).astype(float),
    "two kinds": lambda draw, n: np.where(draw.random(n) < 0.2, 500.0, 60.0) + draw.integers(0, 20, n),
}


def drawn(values: np.ndarray, most: int, seed: int) -> Stratum:
    reservoir: Reservoir[float] = Reservoir(most, seed)
    for value in values:
        reservoir.offer(lambda value=value: float(value))  # type: ignore[misc]
    return Stratum(reservoir.offered, reservoir.kept)


@pytest.mark.parametrize("name", LENGTHS)
@pytest.mark.parametrize("size", [400, 2000])
def test_intervals_hold_the_true_total_about_as_often_as_they_say(name: str, size: int) -> None:
    values = LENGTHS[name](np.random.default_rng(7), size)
    found = [total_of([drawn(values, 200, seed)]) for seed in range(400)]
    held = sum(one.low <= values.sum() <= one.high for one in found) / len(found)
    # 0.95, with three standard errors of 400 trials below; the union of two intervals holds somewhat more.
    assert 0.917 <= held <= 0.995


def test_two_strata_hold_it_as_often() -> None:
    draw = np.random.default_rng(3)
    documents, queries = LENGTHS["lognormal"](draw, 3000), LENGTHS["geometric"](draw, 600)
    truth = documents.sum() + queries.sum()
    found = [total_of([drawn(documents, 200, seed), drawn(queries, 200, seed + 1000)]) for seed in range(400)]
    assert 0.917 <= sum(one.low <= truth <= one.high for one in found) / len(found) <= 0.995


@given(st.lists(st.integers(1, 600), min_size=2, max_size=60), st.integers(1, 40))
def test_a_total_lies_within_its_interval_and_all_of_them_drawn_it_is_exact(values: list[int], most: int) -> None:
    stratum = drawn(np.array(values), max(most, 2), seed=0)
    found = total_of([stratum])
    assert 0 <= found.low <= found.value <= found.high
    if len(values) <= max(most, 2):
        assert found == Total(*[pytest.approx(sum(values))] * 3)


def test_the_interval_is_that_of_a_mean_times_the_size_narrowed_by_what_was_seen() -> None:
    values = [10.0, 20.0, 30.0, 60.0]
    of_mean, unseen = mean_interval(np.array(values), 0.95), math.sqrt(1 - 4 / 100)
    found = total_of([Stratum(100, values)])
    assert found.value == pytest.approx(3000)
    assert found.high == pytest.approx(3000 + 100 * unseen * (of_mean.high - 30))
    assert found.low == pytest.approx(max(3000 - 100 * unseen * (30 - of_mean.low), 0))
    twice = total_of([Stratum(100, values)] * 2)
    assert twice.high - twice.value == pytest.approx(math.sqrt(2) * (found.high - found.value))


def test_equal_lengths_need_no_interval_and_an_empty_stratum_adds_nothing() -> None:
    assert total_of([Stratum(1000, [7.0, 7.0]), Stratum(0, [])]) == (7000, 7000, 7000)
    with pytest.raises(ValueError, match="nothing was drawn"):
        total_of([Stratum(3, [])])


def test_each_of_what_is_offered_is_kept_equally_often() -> None:
    kept = np.zeros(20)
    for seed in range(3000):
        reservoir: Reservoir[int] = Reservoir(5, seed)
        for value in range(20):
            reservoir.offer(lambda value=value: value)  # type: ignore[misc]
        assert len(set(reservoir.kept)) == 5
        kept[reservoir.kept] += 1
    # A quarter of 3,000; four standard deviations (23.7) either way.
    assert np.all(np.abs(kept - 750) < 95)


def test_some_of_what_was_kept_is_as_fair_a_sample() -> None:
    kept = np.zeros(20)
    for seed in range(3000):
        reservoir: Reservoir[int] = Reservoir(10, seed)
        for value in range(20):
            reservoir.offer(lambda value=value: value)  # type: ignore[misc]
        some = reservoir.some(5)
        assert len(set(some)) == 5
        assert some == reservoir.some(5)
        kept[some] += 1
    assert np.all(np.abs(kept - 750) < 95)


def test_the_same_offers_give_the_same_sample_and_nothing_else_is_made() -> None:
    made: list[int] = []

    def offer_all() -> list[int]:
        reservoir: Reservoir[int] = Reservoir(3)
        for value in range(1000):
            reservoir.offer(lambda value=value: made.append(value) or value)  # type: ignore[func-returns-value,misc]
        return reservoir.kept

    assert offer_all() == offer_all()
    assert len(made) < 100


@pytest.mark.parametrize(
    ("load", "measured", "expected"),
    [
        (Load(300), Load(100), 30.0),
        (Load(300, mean_tokens=50), Load(100, mean_tokens=100), 15.0),
        (Load(300, mean_tokens=50), Load(100), 30.0),
        (Load(300, texts=20), Load(100, texts=40), 5.0),
        (Load(300, mean_tokens=200, texts=20), Load(100, mean_tokens=100, texts=40), 10.0),
        (Load(300, texts=20), Load(100), 30.0),
        (Load(0), Load(100), 0.0),
    ],
)
def test_seconds_go_with_texts_else_with_pairs_and_with_their_tokens(
    load: Load, measured: Load, expected: float
) -> None:
    assert scoring_s(load, measured, wall_s=10) == pytest.approx(expected)


def test_an_error_is_a_share_of_what_was_foretold() -> None:
    assert error(25, 23) == pytest.approx(-0.08)
    assert error(20, 30) == pytest.approx(0.5)
    assert error(0, 1) is None
