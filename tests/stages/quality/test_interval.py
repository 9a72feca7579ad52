"""The interval of a mean difference: Student's where the differences are no bell's opposite, farther where they are."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stages.quality.interval import Interval, mean_interval

Values = npt.NDArray[np.float64]

changing = (
    st.lists(st.integers(-1000, 1000).map(lambda thousandths: thousandths / 1000), min_size=2, max_size=60)
    .map(np.array)
    .filter(lambda values: len(set(values)) > 1)
)


def students(values: Values, confidence: float) -> Interval:
    return Interval(*stats.ttest_1samp(values, 0.0).confidence_interval(confidence))


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_of_symmetric_differences_it_is_students(confidence: float) -> None:
    values = np.array([-0.5, -0.1, 0.0, 0.0, 0.0, 0.1, 0.5]) + 0.02
    assert mean_interval(values, confidence) == pytest.approx(students(values, confidence))


@given(changing, st.sampled_from([0.8, 0.95, 0.99]))
def test_no_end_is_nearer_than_students(values: Values, confidence: float) -> None:
    found, student = mean_interval(values, confidence), students(values, confidence)
    assert found.low <= student.low + 1e-12
    assert found.high >= student.high - 1e-12


def test_the_end_at_the_long_tail_is_where_halls_transformation_takes_students_quantile() -> None:
    values = np.array([0.0] * 30 + [0.05] * 8 + [-0.4, -0.7])
    n, sd, skewness = len(values), values.std(ddof=1), stats.skew(values)
    t = (values.mean() - mean_interval(values, 0.95).low) / sd
    transformed = t + skewness / 3 * t**2 + skewness**2 / 27 * t**3 + skewness / (6 * n)
    assert transformed == pytest.approx(stats.t.ppf(0.975, n - 1) / math.sqrt(n))
    assert mean_interval(values, 0.95).high == pytest.approx(students(values, 0.95).high)


@given(changing)
def test_mirrored_differences_have_the_mirrored_interval(values: Values) -> None:
    low, high = mean_interval(values, 0.95)
    assert mean_interval(-values[::-1], 0.95) == Interval(-high, -low)


@given(changing)
def test_a_higher_confidence_gives_an_interval_that_holds_the_lower_ones(values: Values) -> None:
    lower, higher = mean_interval(values, 0.9), mean_interval(values, 0.95)
    assert higher.low <= lower.low <= values.mean() + 1e-12
    assert higher.high >= lower.high >= values.mean() - 1e-12
