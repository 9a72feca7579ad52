"""What is chosen is told on other queries, and no point on the frontier is beaten by another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.frontier.choice import enough, front, halves, told
from stages.quality.interval import mean_interval

POINTS = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=20)


@given(POINTS)
def test_no_point_on_the_frontier_is_beaten_and_every_other_one_is(points: list[tuple[int, int]]) -> None:
    costs, quality = (np.array(column, dtype=float) for column in zip(*points, strict=True))
    found = front(costs, quality)

    def beats(one: int, other: int) -> bool:
        as_good = costs[one] <= costs[other] and quality[one] >= quality[other]
        return bool(as_good and (costs[one] < costs[other] or quality[one] > quality[other]))

    for place in range(len(points)):
        beaten = any(beats(one, place) for one in range(len(points)))
        assert not (place in found and beaten)
        assert beaten or place in found or any((costs[one], quality[one]) == points[place] for one in found)
    assert costs[found].tolist() == sorted(set(costs[found].tolist()))
    assert quality[found].tolist() == sorted(set(quality[found].tolist()))


@given(st.integers(4, 60), st.integers(0, 5))
def test_halves_share_no_query_and_leave_none(queries: int, seed: int) -> None:
    ids = [f"q{number}" for number in range(queries)]
    split = halves(ids, seed)
    assert not (split.chooses & split.tells).any() and (split.chooses | split.tells).all()
    assert split.chooses.sum() - split.tells.sum() in (0, 1)
    assert np.array_equal(split.chooses, halves(ids, seed).chooses)


def test_three_queries_are_too_few_for_two_halves() -> None:
    with pytest.raises(DataError, match="3 judged queries"):
        halves(["a", "b", "c"], 0)


def test_what_is_told_is_of_the_queries_that_tell_alone() -> None:
    values, reference = np.array([1.0, 9.0, 2.0, 9.0, 4.0]), np.array([0.0, 0.0, 1.5, 0.0, 2.0])
    tells = np.array([True, False, True, False, True])
    found = told(values, reference, tells, 0.95)
    differences = np.array([1.0, 0.5, 2.0])
    assert (found.mean, found.difference) == pytest.approx((7 / 3, differences.mean()))
    assert found.interval == mean_interval(differences, 0.95)


def test_enough_is_the_cheapest_point_with_95_percent_of_the_gain() -> None:
    costs, quality = np.array([0.0, 1.0, 2.0, 5.0]), np.array([0.50, 0.58, 0.596, 0.60])
    assert enough([0, 1, 2, 3], costs, quality, 0.5, 0.6) == 2
    assert enough([0, 1], costs, quality, 0.5, 0.5) is None, "nothing is gained"
