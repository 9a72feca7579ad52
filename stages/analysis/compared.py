"""Both orders of a run beside each other, as JSON: the change, what of them is not judged, and the user's slices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from stages.analysis.depth import DEPTHS
from stages.core.judges import mark_of_judgements
from stages.core.records import Judgements, QueryMetrics
from stages.quality.comparison import Tested, compare_systems, with_mark
from stages.quality.regression import MIN_QUERIES
from stages.quality.significance import CONFIDENCE
from stages.quality.slices import BASELINE, Groups, Slice, compare_slices
from stages.quality.unjudged import TwoLists, Unjudged, highest_grade, unjudged, with_reservation

RERANKED = "reranked"


@dataclass(frozen=True, slots=True)
class AnalysisSettings:
    """`metrics` in order of importance: the first chooses weights, strata, movers and the places that are looked at.
    `listwise`: a score belongs to its whole list. `slices` are the user's groups of the queries. `has_first_stage` is
    False where the order that the candidates came in is none, as of the union of several first stages.
    """

    metrics: Sequence[str]
    depths: Sequence[int] = DEPTHS
    confidence: float = CONFIDENCE
    seed: int = 0
    listwise: bool = False
    slices: Groups = field(default_factory=dict)
    has_first_stage: bool = True


def compared(
    lists: Iterable[TwoLists],
    judgements: Judgements,
    first: QueryMetrics,
    reranked: QueryMetrics,
    settings: AnalysisSettings,
) -> dict[str, Any]:
    """The change, what of both lists is not judged, and the user's slices."""
    open_ = unjudged(lists, judgements, first, reranked, highest=highest_grade(judgements))
    mark = mark_of_judgements(judgements)
    return {
        "significance": _significance(first, reranked, settings, open_, mark),
        "unjudged": {metric: asdict(one) | {"share": one.share} for metric, one in open_.items()},
        "slices": [_slice(one, mark) for one in _slices(first, reranked, settings)],
    }


def _significance(
    first: QueryMetrics,
    reranked: QueryMetrics,
    settings: AnalysisSettings,
    open_: Mapping[str, Unjudged],
    mark: str | None,
) -> dict[str, Any]:
    tested = compare_systems(
        first, {RERANKED: reranked}, settings.metrics, seed=settings.seed, confidence=settings.confidence
    )
    return tested_in_json([with_mark(with_reservation(one, open_.get(one.metric)), mark) for one in tested])


def _slices(first: QueryMetrics, reranked: QueryMetrics, settings: AnalysisSettings) -> list[Slice]:
    return compare_slices(
        first,
        {RERANKED: reranked},
        settings.slices,
        settings.metrics,
        seed=settings.seed,
        confidence=settings.confidence,
    )


def _slice(found: Slice, mark: str | None) -> dict[str, Any]:
    """`tested` is null where there are too few queries, the means where none is judged."""
    return {
        "name": found.name,
        "queries": found.queries,
        "needed": MIN_QUERIES,
        "first_stage": found.means.get(BASELINE),
        "reranked": found.means.get(RERANKED),
        "tested": tested_in_json([with_mark(one, mark) for one in found.tested]) or None,
    }


def tested_in_json(tested: Sequence[Tested]) -> dict[str, Any]:
    """By metric."""
    return {one.metric: asdict(one.difference) | {"corrected_p": one.corrected_p, "words": one.words} for one in tested}
