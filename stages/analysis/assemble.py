"""What one scoring pass tells of quality -> its part of analysis.json, as JSON takes it.

The job adds what only it knows: cost, positions, failures (`pipelines/job/analysis.py`). Most keys are fields of the
records in this room and are explained there; `stages.report.run` reads them. What does not apply is null or absent,
never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from stages.analysis.calibration import calibration
from stages.analysis.changes import Changes
from stages.analysis.compared import AnalysisSettings, compared, tested_in_json
from stages.analysis.depth import NOT_OF_LISTS, advise, depth_curve
from stages.analysis.fusion import fuse_ranks, interpolation
from stages.analysis.harm import harm
from stages.analysis.movers import movers
from stages.analysis.oracle import oracle
from stages.analysis.orders import Orders
from stages.analysis.outcome import QueryOutcome, outcome_of, outcome_of_list
from stages.analysis.passages import cut_and_read
from stages.analysis.prompt import prompt
from stages.analysis.strata import strata
from stages.analysis.ties import ties
from stages.analysis.useless import useless
from stages.core.metrics import SCHEMA_VERSION
from stages.core.records import Candidates, Judgements, QueryMetrics, Ranking
from stages.quality.evaluate import evaluate_stream
from stages.quality.unjudged import TwoLists

JUDGED_AT = (10, 100)

ReadPairs = Callable[[], Iterable[tuple[Candidates, Ranking]]]
"""Each query's candidates beside their ranking, read anew at each call: not all texts are in memory at once."""


def analyse(
    pairs: ReadPairs, judgements: Judgements, first: QueryMetrics, reranked: QueryMetrics, settings: AnalysisSettings
) -> dict[str, Any]:
    """`first` and `reranked` are over all judged queries; without values in `first` there is nothing to compare with,
    and only ties are told, what changed, whether the order is a useless one, and what cutting costs where documents
    were read in passages. Raises what `evaluate_stream` raises.
    """
    judged: list[QueryOutcome] = []
    metrics, main = list(settings.metrics), settings.metrics[0]
    changes, orders = Changes(main), Orders(main, has_first_stage=settings.has_first_stage)
    told: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "ties": asdict(ties(_outcomes(pairs(), judgements, judged, changes, orders))),
        "changes": changes.told(metrics) if settings.has_first_stage else None,
        "useless": asdict(useless(orders)),
    }
    if reranked.values and (found := _long_documents(judged, judgements, settings)):
        told["long_documents"] = found
    if not first.values:
        return told
    told |= {
        "metrics": metrics,
        **compared(_two_lists(judged), judgements, first, reranked, settings),
        "depth": _depth(judged, judgements, first, settings),
        "oracle": _oracle(judged, judgements, first, reranked),
        "fusion": _fusion(judged, judgements, settings),
        "strata": [asdict(stratum) for stratum in strata(judged, first, reranked, main, settings.confidence)],
        "harm": _harm(judged, judgements, settings),
        "movers": asdict(movers(pairs(), judgements, first, reranked, main)),
        "calibration": _optional(calibration(judged, judgements)),
        "judged": {
            "first_stage": _judged(((one.query_id, one.first_stage()) for one in judged), judgements),
            "reranked": _judged(((one.query_id, one.listed(one.order.tolist())) for one in judged), judgements),
        },
    }
    return told | _prompt(_two_lists(judged), judgements, settings)


def analyse_lists(
    pairs: ReadPairs,
    judgements: Judgements,
    first: QueryMetrics,
    reranked: QueryMetrics,
    settings: AnalysisSettings,
    cut: Collection[str],
) -> dict[str, Any]:
    """As `analyse`, of lists that no one score orders, as those of a cascade: what their order alone tells. Documents
    of the queries `cut` were not read to their end.
    """
    judged, both, main = list[QueryOutcome](), list[TwoLists](), settings.metrics[0]
    changes, orders = Changes(main), Orders(main, has_first_stage=settings.has_first_stage)
    for candidates, ranking in pairs():
        outcome = outcome_of_list(candidates, ranking, truncated=candidates.query_id in cut)
        changes.add(outcome)
        orders.add(outcome, judgements.grades.get(outcome.query_id))
        if outcome.query_id in judgements.grades:
            judged.append(outcome)
            both.append(TwoLists(outcome.query_id, outcome.first_stage(), ranking.ordered()))
    told: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "changes": changes.told(settings.metrics) if settings.has_first_stage else None,
        "useless": asdict(useless(orders)),
    }
    if not first.values:
        return told
    return told | {
        "metrics": list(settings.metrics),
        **_prompt(both, judgements, settings),
        **compared(both, judgements, first, reranked, settings),
        "oracle": _oracle(judged, judgements, first, reranked),
        "strata": [asdict(stratum) for stratum in strata(judged, first, reranked, main, settings.confidence)],
        "harm": _harm(judged, judgements, settings),
        "movers": asdict(movers(pairs(), judgements, first, reranked, main)),
        "judged": {
            "first_stage": _judged(((one.query_id, one.first) for one in both), judgements),
            "reranked": _judged(((one.query_id, one.second) for one in both), judgements),
        },
    }


def _prompt(lists: Iterable[TwoLists], judgements: Judgements, settings: AnalysisSettings) -> dict[str, Any]:
    found = prompt(lists, judgements, settings.metrics, seed=settings.seed, confidence=settings.confidence)
    return {"prompt": found} if found else {}


def _outcomes(
    pairs: Iterable[tuple[Candidates, Ranking]],
    judgements: Judgements,
    judged: list[QueryOutcome],
    changes: Changes,
    orders: Orders,
) -> Iterator[QueryOutcome]:
    """Each query's, in the order read, counted on the way; those of judged queries are also kept in `judged`."""
    for candidates, ranking in pairs:
        outcome = outcome_of(candidates, ranking)
        changes.add(outcome)
        orders.add(outcome, judgements.grades.get(outcome.query_id))
        if outcome.query_id in judgements.grades:
            judged.append(outcome)
        yield outcome


def _harm(judged: Sequence[QueryOutcome], judgements: Judgements, settings: AnalysisSettings) -> dict[str, Any] | None:
    if not settings.has_first_stage:
        return None
    found = harm(judged, judgements, settings.metrics[0], settings.confidence)
    crossable = any(len(one.doc_ids) > found.top for one in judged)
    return asdict(found) | {"words": found.words(crossable=crossable)}


def _two_lists(judged: Iterable[QueryOutcome]) -> Iterator[TwoLists]:
    return (TwoLists(one.query_id, one.first_stage(), one.listed(one.order.tolist())) for one in judged)


def _long_documents(
    judged: Sequence[QueryOutcome], judgements: Judgements, settings: AnalysisSettings
) -> dict[str, Any] | None:
    """Where the run read documents in passages."""
    found = cut_and_read(judged, judgements, settings.metrics, seed=settings.seed, confidence=settings.confidence)
    if found is None:
        return None
    return {
        "queries": found.queries,
        "documents": found.documents,
        "passages": found.passages,
        "better": found.better,
        "significance": tested_in_json(found.tested),
    }


def _depth(
    judged: Sequence[QueryOutcome], judgements: Judgements, first: QueryMetrics, settings: AnalysisSettings
) -> dict[str, Any]:
    if settings.listwise:
        words = dict.fromkeys(settings.metrics, NOT_OF_LISTS)
        return {"points": [], "best": {}, "enough": {}, "words": words}
    curve = depth_curve(judged, judgements, first, settings.depths)
    advice = {
        metric: advise(curve, first, metric, seed=settings.seed, alpha=1 - settings.confidence)
        for metric in settings.metrics
    }
    return {
        "points": [
            {
                "depth": point.depth,
                "pairs": point.pairs,
                "means": dict(point.means),
                "gains": dict(point.gains),
                "corrected_p": {metric: advice[metric].corrected_p[point.depth] for metric in settings.metrics},
            }
            for point in curve.points
        ],
        "best": {metric: advice[metric].best for metric in settings.metrics},
        "enough": {metric: advice[metric].enough for metric in settings.metrics},
        "words": {metric: advice[metric].words for metric in settings.metrics},
    }


def _oracle(
    judged: Sequence[QueryOutcome], judgements: Judgements, first: QueryMetrics, reranked: QueryMetrics
) -> dict[str, Any]:
    found = oracle(judged, judgements, first, reranked)
    return {
        "means": {metric: found.metrics.mean(metric) for metric in found.metrics.values},
        "headroom": dict(found.headroom),
        "gained": dict(found.gained),
        "recall_ceiling": found.recall_ceiling,
    }


def _fusion(judged: Sequence[QueryOutcome], judgements: Judgements, settings: AnalysisSettings) -> dict[str, Any]:
    ranks = fuse_ranks(judged, judgements, settings.metrics)
    weighted = interpolation(judged, judgements, settings.metrics, settings.seed)
    return {
        "reciprocal_rank": {metric: ranks.mean(metric) for metric in settings.metrics},
        "interpolation": weighted
        and {
            "means": {metric: weighted.metrics.mean(metric) for metric in settings.metrics},
            "weights": list(weighted.weights),
            "chosen_by": weighted.chosen_by,
            "sweep": [{"weight": weight, "means": dict(means)} for weight, means in weighted.sweep.items()],
        },
    }


def _judged(lists: Iterable[tuple[str, Sequence[str]]], judgements: Judgements) -> dict[str, float]:
    found = evaluate_stream(lists, judgements, [f"judged@{cutoff}" for cutoff in JUDGED_AT])
    return {name: found.mean(name) for name in found.values}


def _optional(found: Any) -> dict[str, Any] | None:
    return None if found is None else asdict(found)
