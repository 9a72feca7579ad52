"""Kappa is scikit-learn's, for many tables at once; its interval is over queries."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.grading.kappa import MIN_QUERIES, RESAMPLES, bootstrapped, kappas, resampled

tables = arrays(np.float64, (3, 4, 4), elements=st.integers(0, 20).map(float))


@given(tables=tables, quadratic=st.booleans())
def test_it_is_the_number_that_scikit_learn_gives_for_the_same_pairs(tables: np.ndarray, quadratic: bool) -> None:
    from sklearn.metrics import cohen_kappa_score

    places = [(one, other) for one in range(4) for other in range(4)]
    for table, ours in zip(tables, kappas(tables, quadratic=quadratic), strict=True):
        rows, columns = zip(*places, strict=True)
        weights = [table[place] for place in places]
        theirs = math.nan
        if sum(weights) and not _one_grade(table):
            options = {"weights": "quadratic" if quadratic else None, "sample_weight": weights}
            theirs = cohen_kappa_score(rows, columns, labels=range(4), **options)
        assert ours == pytest.approx(theirs, nan_ok=True)


def _one_grade(table: np.ndarray) -> bool:
    """All pairs in one place on the diagonal."""
    return np.count_nonzero(table) == 1 and np.count_nonzero(np.diag(table)) == 1


def test_by_hand() -> None:
    table = np.array([[20.0, 5.0], [10.0, 15.0]])
    assert kappas(table) == pytest.approx(0.4)  # Wikipedia's example of grants
    assert math.isnan(kappas(np.array([[7.0, 0.0], [0.0, 0.0]])))
    assert kappas(np.array([[3.0, 4.0], [0.0, 0.0]])) == pytest.approx(0)


def test_resamples_draw_queries_whole_and_as_many_as_there_are() -> None:
    one, other = np.diag([3.0, 0.0]), np.diag([0.0, 5.0])
    drawn = resampled(np.stack([one, other]), seed=1)
    assert drawn.shape == (RESAMPLES, 2, 2)
    assert {tuple(np.diag(table)) for table in drawn} == {(6, 0), (3, 5), (0, 10)}
    assert np.array_equal(drawn, resampled(np.stack([one, other]), seed=1))


def _of(queries: np.ndarray) -> tuple[float | None, tuple[float, float] | None, str | None]:
    told = bootstrapped(queries, resampled(queries, 0), kappas, 0.95)
    return told.value, told.interval, told.reason


def test_pairs_of_one_query_do_not_count_as_so_many() -> None:
    generator = np.random.default_rng(3)
    queries = generator.integers(0, 5, size=(40, 2, 2)).astype(float)
    _, once, _ = _of(queries)
    _, tenfold, _ = _of(queries * 10)
    assert once is not None and tenfold == pytest.approx(once) and once[1] - once[0] > 0.1


def test_what_is_not_defined_is_none_with_its_reason_and_never_nan() -> None:
    value, interval, reason = _of(np.stack([np.diag([5.0, 0.0])] * 30))
    assert (value, interval) == (None, None) and reason is not None and "one grade" in reason
    value, interval, reason = _of(np.stack([np.diag([5.0, 1.0])] * (MIN_QUERIES - 1)))
    assert (value, interval) == (1.0, None) and reason is not None and "fewer than" in reason
    rare = np.stack([np.diag([5.0, 0.0])] * 29 + [np.array([[4.0, 0.0], [0.0, 1.0]])])
    value, interval, reason = _of(rare)
    assert value == 1.0 and interval is None and reason is not None and "too few queries" in reason
