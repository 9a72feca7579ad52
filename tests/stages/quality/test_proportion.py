"""The interval of a share of documents holds the true one as often as it says, though those of a query go together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.quality.interval import Interval
from stages.quality.proportion import share_interval
from tests.examples import examples, some_of


def of(parts: list[int], wholes: list[int], confidence: float = 0.95) -> Interval | None:
    return share_interval(np.array(parts, dtype=float), np.array(wholes, dtype=float), confidence)


@pytest.mark.parametrize(("hit", "number"), [(0, 10), (3, 10), (10, 10), (7, 250)])
def test_with_one_document_a_query_it_is_wilsons_as_scipy_has_it(hit: int, number: int) -> None:
    from scipy.stats import binomtest

    expected = binomtest(hit, number).proportion_ci(0.95, method="wilson")
    assert of([1] * hit + [0] * (number - hit), [1] * number) == pytest.approx((expected.low, expected.high))


def test_documents_that_go_together_tell_as_little_as_their_queries() -> None:
    apart, together = of([1, 0] * 20, [1] * 40), of([4, 0] * 20, [4] * 40)
    assert apart is not None
    assert together is not None
    assert together == pytest.approx(apart, abs=0.01)
    # Each query has half of its own: that is as sure as a share of so many documents can be.
    even = of([2] * 40, [4] * 40)
    assert even == of([1, 0] * 80, [1] * 160)


def test_where_nothing_or_everything_was_hit_each_query_counts_once() -> None:
    assert of([0] * 10, [5] * 10) == of([0] * 10, [1] * 10)
    assert of([5] * 10, [5] * 10) == of([1] * 10, [1] * 10)


def test_queries_without_a_document_do_not_count_and_none_at_all_has_no_interval() -> None:
    assert of([1, 0, 0], [1, 1, 0]) == of([1, 0], [1, 1])
    assert of([0], [0]) is None
    assert of([], []) is None


@examples(100)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1))
def test_it_lies_within_0_and_1_and_holds_the_share(counts: list[tuple[int, int]]) -> None:
    parts, wholes = [min(pair) for pair in counts], [max(pair) for pair in counts]
    found = of(parts, wholes)
    if not sum(wholes):
        assert found is None
        return
    assert found is not None
    assert 0 <= found.low <= sum(parts) / sum(wholes) <= found.high <= 1


@pytest.mark.scaled
@pytest.mark.parametrize("queries", [30, 200])
@pytest.mark.parametrize(("true", "alike"), [(0.1, 0.0), (0.1, 0.5), (0.5, 0.5), (0.9, 0.9)])
def test_it_holds_the_true_share_as_often_as_it_says(queries: int, true: float, alike: float) -> None:
    """`alike` is the correlation of two documents of one query (a beta-binomial's), of which there are one to six."""
    rng, misses, draws = np.random.default_rng(7), 0, some_of(2000)
    for _ in range(draws):
        wholes = rng.integers(1, 7, size=queries).astype(float)
        scale = (1 - alike) / alike if alike else 1e9
        parts = rng.binomial(wholes.astype(int), rng.beta(true * scale, (1 - true) * scale, size=queries)).astype(float)
        low, high = share_interval(parts, wholes, 0.95) or (1.0, 0.0)
        misses += not low <= true <= high
    assert misses / draws < 0.05 + 3 * np.sqrt(0.05 * 0.95 / draws) + 0.015
