"""A user's slices are each tested by themselves, with a correction that keeps the level for all of them together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from stages.core.records import QueryMetrics
from stages.quality.regression import MIN_QUERIES
from stages.quality.slices import BASELINE, Slice, compare_slices
from tests.examples import some_of

IDS = tuple(f"q{number:03}" for number in range(240))
LANGUAGES = ("en", "zh", "de", "fr", "es", "ja")
LANGUAGE = {query_id: LANGUAGES[place % 6] for place, query_id in enumerate(IDS)}
# Overlaps with languages, as a list of ids may.
HARD = dict.fromkeys(IDS[::3], "listed")
GROUPS = {"language": LANGUAGE, "hard": HARD}


def metrics(**values: np.ndarray) -> QueryMetrics:
    return QueryMetrics(IDS, {name: tuple(map(float, of)) for name, of in values.items()}, (True,) * len(IDS))


def sliced(before: np.ndarray, after: np.ndarray, groups: dict[str, dict[str, str]] | None = None) -> dict[str, Slice]:
    found = compare_slices(metrics(mrr=before), {"new": metrics(mrr=after)}, groups or GROUPS, ["mrr"])
    return {one.name: one for one in found}


def test_every_group_has_its_queries_means_and_test() -> None:
    rng = np.random.default_rng(7)
    before = rng.uniform(0.3, 0.7, len(IDS))
    found = sliced(before, before + 0.1 * (np.arange(len(IDS)) % 6 == 1) + rng.normal(0, 0.02, len(IDS)))
    assert list(found) == [*(f"language={one}" for one in LANGUAGES), "hard=listed"]
    zh = found["language=zh"]
    assert zh.queries == 40
    assert zh.means[BASELINE]["mrr"] == pytest.approx(before[1::6].mean())
    (tested,) = zh.tested
    assert tested.significant()
    assert tested.difference.n == 40
    assert tested.words.startswith("mrr of language=zh rises by 0.")
    assert [name for name, one in found.items() if one.tested[0].significant()] == ["language=zh"]


def test_p_is_corrected_for_all_slices_systems_and_metrics_at_once() -> None:
    rng = np.random.default_rng(2)
    before, after = (metrics(mrr=rng.uniform(size=240), ndcg=rng.uniform(size=240)) for _ in range(2))
    found = compare_slices(before, {"a": after, "b": before}, GROUPS, ["mrr", "ndcg"])
    tested = [one for each in found for one in each.tested]
    assert len(tested) == 7 * 2 * 2
    assert {one.difference.comparisons for one in tested} == {28}
    smallest = min(tested, key=lambda one: one.difference.p_randomization)
    assert smallest.corrected_p == pytest.approx(min(1.0, 28 * smallest.difference.p_randomization))
    assert all(one.corrected_p >= one.difference.p_randomization for one in tested)


def test_a_small_slice_is_told_and_not_tested() -> None:
    rng = np.random.default_rng(3)
    before, after = rng.uniform(size=240), rng.uniform(size=240)
    small = dict.fromkeys(IDS[: MIN_QUERIES - 1], "listed")
    found = sliced(before, after, {"small": small, "enough": dict.fromkeys(IDS[:MIN_QUERIES], "listed")})
    assert found["small=listed"].tested == []
    assert found["small=listed"].queries == MIN_QUERIES - 1
    assert found["small=listed"].means["new"]["mrr"] == pytest.approx(after[: MIN_QUERIES - 1].mean())
    (tested,) = found["enough=listed"].tested
    assert tested.difference.comparisons == 1


def test_a_slice_without_a_judged_query_has_no_means() -> None:
    values = np.full(240, 0.5)
    found = sliced(values, values, {"other": {"elsewhere": "yes"}})
    assert found["other=yes"] == Slice("other=yes", 0, {}, [])


def test_systems_are_paired_by_query_whatever_their_order() -> None:
    rng = np.random.default_rng(4)
    before, after = rng.uniform(size=240), rng.uniform(size=240)
    turned = QueryMetrics(IDS[::-1], {"mrr": tuple(after[::-1].tolist())}, (True,) * 240)
    found = compare_slices(metrics(mrr=before), {"new": turned}, GROUPS, ["mrr"])
    assert {one.name: one for one in found} == sliced(before, after)


@pytest.mark.scaled
def test_where_nothing_changed_any_slice_is_called_changed_as_seldom_as_the_level_says() -> None:
    """Skewed differences whose mean is 0, seven slices that overlap; without correction a third would alarm."""
    collections, level, alarms, uncorrected = some_of(500), 0.05, 0, 0
    rng = np.random.default_rng(6)
    for _ in range(collections):
        changes = np.where(rng.uniform(size=240) < 0.5, 0.0, rng.choice([-1, 1], 240) * rng.exponential(0.2, 240))
        found = sliced(np.full(240, 0.5), 0.5 + changes)
        tested = [one for each in found.values() for one in each.tested]
        alarms += any(one.significant() for one in tested)
        uncorrected += any(one.difference.p_randomization < level for one in tested)
    error = math.sqrt(level * (1 - level) / collections)
    assert alarms / collections <= level + 4 * error
    assert uncorrected / collections > level + 4 * error
