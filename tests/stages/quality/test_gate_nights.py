"""How often the gate is wrong is what docs/compare.md says, and no more than a reader may take for granted."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from tests.examples import THOROUGH, some_of
from tests.faults.differences import populations
from tests.faults.gate_nights import BEYOND, MARGINS, NIGHTS, QUERIES, rates
from tests.faults.intervals import COLLECTIONS, METHODS, errors, ours
from tests.faults.intervals import QUERIES as OF_INTERVALS

DOCS = [Path(__file__).parents[3] / "docs" / name for name in ("compare.md", "compare.zh.md")]
KINDS = populations()
TRIED = some_of(300)
CELL = re.compile(r"([\d.]+) \((\d+)\)")


def rows(path: Path) -> list[list[str]]:
    """The cells of each row of the page's tables."""
    return [line[2:-2].split(" | ") for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]


def told(path: Path) -> dict[tuple[int, int, float], list[tuple[float, float]]]:
    """Population, queries and margin -> shares of wrong rulings and of those that cannot tell, cell by cell."""
    shares = [row for row in rows(path) if len(row) == 9 and CELL.fullmatch(row[-1])]
    keys = [(kind, queries, margin) for kind in range(len(KINDS)) for queries in QUERIES for margin in MARGINS]
    found = {}
    for key, row in zip(keys, shares, strict=True):
        assert (row[1], row[2]) == (f"{key[1]:,}", f"{key[2]:g}")
        found[key] = [(float(cell[1]) / 100, float(cell[2]) / 100) for cell in map(CELL.fullmatch, row[3:]) if cell]
    return found


def near(share: float, other: float, nights: int) -> bool:
    """Whether two shares, of NIGHTS and of `nights`, differ by chance (five standard errors) and rounding."""
    typical = max((share + other) / 2, 3 / nights)
    return abs(share - other) <= 0.006 + 5 * math.sqrt(typical * (1 - min(typical, 0.99)) * (1 / nights + 1 / NIGHTS))


def test_both_languages_tell_the_same_numbers() -> None:
    english, chinese = map(told, DOCS)
    assert english == chinese


@pytest.mark.scaled
@pytest.mark.parametrize("kind", range(len(KINDS)), ids=[kind.name for kind in KINDS])
@pytest.mark.parametrize("queries", QUERIES if THOROUGH else (50, 200))
def test_the_table_of_nights_is_what_the_gate_does(kind: int, queries: int) -> None:
    margin = MARGINS[0]
    cells = told(DOCS[0])[kind, queries, margin]
    no_drop, *dropped = (rates(KINDS[kind], queries, margin, drop, TRIED) for drop in drops(margin))
    found = [no_drop.regressed, dropped[0].regressed, *(one.passed for one in dropped)]
    unsure = [no_drop.cannot_tell, dropped[0].cannot_tell, *(one.cannot_tell for one in dropped)]
    for cell, wrong, cannot_tell in zip(cells, found, unsure, strict=True):
        assert near(cell[0], wrong, TRIED), (cells, found)
        assert near(cell[1], cannot_tell, TRIED), (cells, unsure)


def drops(margin: float) -> list[float]:
    return [0.0, *(margin + beyond for beyond in BEYOND)]


def test_an_unchanged_system_is_hardly_ever_called_a_regression_and_a_large_drop_hardly_ever_passes() -> None:
    for (_, queries, _), (no_drop, _, at_the_limit, *_, large) in told(DOCS[0]).items():
        assert no_drop[0] <= 0.02
        assert queries < 200 or at_the_limit[0] <= 0.045
        assert queries < 200 or large[0] <= 0.001


@pytest.mark.parametrize("kind", range(3))
def test_the_table_of_intervals_has_ours(kind: int) -> None:
    table = [row for row in rows(DOCS[0]) if len(row) == 1 + 3 * len(OF_INTERVALS) and "/" in row[-1]]
    assert len(table) == len(METHODS)
    for place, queries in enumerate(OF_INTERVALS):
        cell = table[-1][1 + kind * len(OF_INTERVALS) + place]
        found = errors(ours, KINDS[kind], queries, some_of(COLLECTIONS))
        for share, error in zip(cell.split(" / "), found, strict=True):
            assert near(float(share) / 100, error, some_of(COLLECTIONS))


def test_a_population_takes_any_mean_and_leaves_what_did_not_change() -> None:
    for kind in KINDS:
        moved = kind.with_mean(-0.08)
        assert moved.mean == pytest.approx(-0.08)
        assert (moved.weights > 0).all()
        assert moved.unchanged > 0


def test_most_of_the_differences_are_0_and_the_rest_is_skewed_where_the_page_says_so() -> None:
    moved = [kind.with_mean(-0.01) for kind in KINDS]
    assert [round(kind.unchanged, 2) for kind in moved] == [0.09, 0.75, 0.7, 0.7]
    _, depth, losses, gains = moved
    assert depth.skewness < -1 and losses.skewness < -2
    assert gains.skewness > 1
