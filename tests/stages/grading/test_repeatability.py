"""A judge asked twice: the same grade, and by how much the expected one moved."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from stages.core.grades import Graded
from stages.grading.repeatability import repeatability

SURE = Graded(2, probabilities=(0.0, 0.0, 1.0, 0.0))


def test_the_same_again_is_identical_and_moves_by_nothing() -> None:
    several = [Graded(place % 4) for place in range(40)]
    found = repeatability([f"q{place}" for place in range(40)], several, several)
    assert found is not None and (found.pairs, found.graded, found.lost) == (40, 40, 0)
    assert (found.identical.value, found.kappa.value, found.moved) == (1, 1, 0)
    assert found.identical.interval is not None and found.identical.interval[0] < 1
    assert found.words == "Asked again, it gave 100% of 40 pairs the same grade, and the expected grade did not move"


def test_what_moved_and_what_was_lost_is_counted() -> None:
    moved = Graded(1, probabilities=(0.0, 0.5, 0.5, 0.0))
    found = repeatability(
        ["a", "b", "c", "d"], [SURE, SURE, Graded(None, "why"), SURE], [SURE, moved, SURE, Graded(None)]
    )
    assert found is not None and (found.pairs, found.graded, found.lost) == (4, 2, 2)
    assert found.identical.value == pytest.approx(0.5) and found.moved == pytest.approx(0.25)


def test_nothing_asked_twice_is_nothing_and_nothing_graded_is_told() -> None:
    assert repeatability([], [], []) is None
    found = repeatability(["a"], [Graded(None, "why")], [Graded(None, "why")])
    assert found is not None and (found.graded, found.lost, found.moved) == (0, 0, None)
    assert "cannot be told" in found.words
    json.dumps(asdict(found), allow_nan=False)
