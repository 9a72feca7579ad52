"""What a dtype costs a model, measured on some of the pairs, and how much of that is allowed."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

from pipelines.direct.prompts import Pair
from pipelines.service.tolerance import CALIBRATION_PAIRS, FLOAT32_TOLERANCE, Tolerance, measured_tolerance
from stages.core.records import PairScore

SERVICE = Path(__file__).parents[3] / "pipelines" / "service"
EXACT: list[float | None] = [place / 100 for place in range(100)]
PAIRS = [Pair("q", str(place), None) for place in range(100)]


class Rounded:
    """A scorer whose scores are off by `by` at each of some places, as other loaded dtypes' are."""

    def __init__(self, *places: int, by: float = 0.01, failing: bool = False) -> None:
        self._places, self._by, self._failing = places, by, failing
        self.asked: list[int] = []

    def score_all(self, pairs: list[Pair]) -> list[PairScore]:
        self.asked = [int(pair.document) for pair in pairs]
        return [PairScore(None, error="too long") if self._failing else self._score(place) for place in self.asked]

    def _score(self, place: int) -> PairScore:
        return PairScore(place / 100 + (self._by if place in self._places else 0.0))


def measured(scorer: Any, direct: list[float | None] = EXACT) -> Tolerance:
    loaded = {"bfloat16": scorer}
    return measured_tolerance("bfloat16", PAIRS, direct, loaded.__getitem__)


def test_three_times_the_largest_difference_is_allowed_and_the_reason_is_told() -> None:
    found = measured(Rounded(0, 3, by=0.02))
    assert found.value == pytest.approx(0.06)
    assert found.origin == "3 times 0.020, what bfloat16 costs 32 of the pairs directly"


def test_the_pairs_are_spread_over_all() -> None:
    scorer = Rounded()
    measured(scorer)
    assert scorer.asked == list(range(0, 3 * CALIBRATION_PAIRS, 3))


def test_other_kernels_are_allowed_in_any_case_what_they_may_cost_in_float32() -> None:
    assert measured(Rounded()).value == FLOAT32_TOLERANCE
    assert measured(Rounded(failing=True)).value == FLOAT32_TOLERANCE
    assert measured(Rounded(0), direct=[None] * 100).value == FLOAT32_TOLERANCE


def test_float32_costs_nothing_and_needs_no_second_model() -> None:
    def load(_: str) -> Any:
        raise AssertionError("a second model was loaded")

    assert measured_tolerance("float32", PAIRS, EXACT, load) == (FLOAT32_TOLERANCE, "float32 on both sides")


def test_verify_and_diagnose_ask_for_the_same_tolerance() -> None:
    using = {
        path.parent.name
        for path in SERVICE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "measured_tolerance"
    }
    assert using == {"verify", "diagnose"}
