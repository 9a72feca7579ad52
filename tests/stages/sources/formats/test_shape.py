"""A list's order is its ranking; its scores count only where they say the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.order import trec_order
from stages.sources.formats.shape import scores_in_order


@pytest.mark.parametrize(
    "scores",
    [
        [1.0, 2.0],  # distances, or places that were changed
        [2.0, 2.0],  # equal
        [2.129133, 2.1291329],  # equal in single precision
        [2.0, None],
        ["3", "2"],
        [float("inf"), 1.0],
        [float("nan"), 1.0],
        [10**400, 1],
        [True, False],
    ],
)
def test_scores_that_do_not_fall_do_not_count(scores: list[object]) -> None:
    assert scores_in_order(scores) == [None, None]


def test_scores_that_fall_count() -> None:
    assert scores_in_order([3, 2.5, -1e30]) == [3, 2.5, -1e30]
    assert scores_in_order([]) == []


@given(st.lists(st.floats(allow_nan=False), max_size=8))
def test_by_scores_that_count_trec_eval_has_the_same_order(scores: list[float]) -> None:
    ids = [f"d{place}" for place in range(len(scores))]
    kept = [score for score in scores_in_order(scores) if isinstance(score, float)]
    assert not kept or trec_order(ids, kept) == tuple(ids)
