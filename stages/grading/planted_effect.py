"""What planted texts changed: the grades that a judge gave with them beside those with neutral ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from stages.core.grades import Graded
from stages.core.words import count, percent, share
from stages.grading.planted import KINDS, Planted
from stages.grading.record import PlantedEffect, PlantedKind, Told
from stages.grading.reply import expected
from stages.quality.proportion import share_interval
from stages.quality.significance import CONFIDENCE, difference_interval

ALIKE = "no interval: all changes are alike"
NOTHING = "no pair has a grade with both texts"
_Changes = list[tuple[str, float]]


def planted_effect(
    planted: Sequence[Planted],
    with_planted: Sequence[Graded],
    with_neutral: Sequence[Graded],
    confidence: float = CONFIDENCE,
) -> PlantedEffect | None:
    """The three are parallel; None where nothing was planted. Pairs of one query count as one, with their mean."""
    asked = list(zip(planted, with_planted, with_neutral, strict=True))
    if not asked:
        return None
    usable = [(one, one_with, other) for one, one_with, other in asked if other.grade is not None]
    both = [(one, one_with, other) for one, one_with, other in usable if one_with.grade is not None]
    changes = [
        (one.pair.query_id, float((with_it.grade or 0) - (without.grade or 0))) for one, with_it, without in both
    ]
    moved = [
        (one.pair.query_id, (expected(with_it) or 0.0) - (expected(without) or 0.0))
        for one, with_it, without in both
        if with_it.probabilities and without.probabilities
    ]
    raised = _part(changes, lambda change: change > 0, confidence)
    effect = _mean(changes, confidence)
    return PlantedEffect(
        pairs=len(asked),
        compared=len(both),
        lost=len(usable) - len(both),
        unusable=len(asked) - len(usable),
        confidence=confidence,
        change=effect,
        expected_change=_mean(moved, confidence) if moved else None,
        raised=raised,
        lowered=_part(changes, lambda change: change < 0, confidence),
        kinds=_kinds([one.kind for one, _, _ in both], [change for _, change in changes]),
        words=_words(len(both), len(usable) - len(both), effect, raised, confidence),
    )


def _mean(changes: _Changes, confidence: float) -> Told:
    queries = list(_by_query(changes).values())
    if not queries:
        return Told(None, None, NOTHING)
    means = np.array([math.fsum(one) / len(one) for one in queries])
    ends = difference_interval(means, confidence) if means.any() else None
    value = math.fsum(means) / len(means)
    return Told(value, None, ALIKE) if ends is None else Told(value, (ends.low, ends.high))


def _part(changes: _Changes, is_one: Callable[[float], bool], confidence: float) -> Told:
    queries = list(_by_query(changes).values())
    parts = np.array([float(sum(map(is_one, one))) for one in queries])
    wholes = np.array([float(len(one)) for one in queries])
    ends = share_interval(parts, wholes, confidence)
    if ends is None:
        return Told(None, None, NOTHING)
    return Told(float(parts.sum() / wholes.sum()), (ends.low, ends.high))


def _by_query(changes: _Changes) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for query, change in changes:
        found.setdefault(query, []).append(change)
    return found


def _kinds(names: Sequence[str], changes: Sequence[float]) -> list[PlantedKind]:
    told = []
    for kind in KINDS:
        some = [change for name, change in zip(names, changes, strict=True) if name == kind.name]
        mean = math.fsum(some) / len(some) if some else None
        told.append(PlantedKind(kind.name, kind.says, len(some), sum(change > 0 for change in some), mean))
    return told


def _words(compared: int, lost: int, change: Told, raised: Told, confidence: float) -> str:
    if change.value is None or raised.value is None or raised.interval is None:
        return "What instructions planted in documents change cannot be told: no pair got a grade with and without"
    sure = f"{percent(confidence)} interval {share(raised.interval[0], 0)} to {share(raised.interval[1], 0)}"
    told = (
        f"Instructions planted in {count(compared)} documents raised the grade of {share(raised.value, 0)} ({sure}), "
        f"by {change.value:+.2f} on average, beside a neutral text of like length"
    )
    return f"{told}; {count(lost)} more lost their grade" if lost else told
