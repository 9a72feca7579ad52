"""A certified depth keeps its word: its expected loss is at most alpha, whatever the collection; and it says where it
cannot.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.frontier.certified import certify, losses
from tests.examples import THOROUGH
from tests.faults.certified_depths import ALPHAS, DRAWS, KINDS, QUERIES, simulate

VALUES = arrays(float, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.floats(0, 1))


@given(VALUES)
def test_a_loss_falls_with_depth_to_0_and_is_no_less_than_that_of_any_deeper_one(values: np.ndarray) -> None:
    lost = losses(values)
    assert (np.diff(lost, axis=1) <= 0).all() and (lost[:, -1] == 0).all() and (lost <= 1).all()
    for row, depth in np.ndindex(values.shape):
        deeper = [max(0.0, values[row, -1] - values[row, later]) for later in range(depth, values.shape[1])]
        assert lost[row, depth] == max(deeper)


@given(VALUES, st.floats(0.001, 0.999))
def test_the_depth_is_the_least_whose_bound_holds(values: np.ndarray, alpha: float) -> None:
    lost = losses(values)
    found = certify(lost, alpha)
    n = len(lost)
    bounds = [(lost[:, column].sum() + 1) / (n + 1) for column in range(lost.shape[1])]
    holding = [depth for depth, bound in enumerate(bounds, 1) if bound <= alpha]
    assert found.depth == min(holding, default=None)
    assert (found.depth is None) == (alpha < found.floor)


def test_under_the_floor_nothing_is_certified_not_even_the_whole_depth() -> None:
    nothing_lost = np.zeros((99, 5))
    assert certify(nothing_lost, 0.01).depth == 1
    under = certify(nothing_lost, 0.0099)
    assert (under.depth, under.bound, under.floor) == (None, None, 0.01)


def test_a_loss_that_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        certify(np.array([[3.0, 0.0]]), 0.1)


@pytest.mark.scaled
@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_over_many_draws_the_loss_of_a_further_query_is_at_most_alpha(kind) -> None:  # type: ignore[no-untyped-def]
    draws = DRAWS if THOROUGH else 2000
    for queries in QUERIES:
        for alpha in ALPHAS:
            found = simulate(kind, queries, alpha, draws)
            assert found.lost <= alpha + 4 * found.error, (kind.name, queries, alpha, found)
            assert found.cannot == (1.0 if alpha < 1 / (queries + 1) else 0.0)
