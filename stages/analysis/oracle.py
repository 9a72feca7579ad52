"""The best that any reranker could make of these candidates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stages.analysis.outcome import QueryOutcome
from stages.core.records import Judgements, QueryMetrics
from stages.quality.evaluate import evaluate_stream

RECALL = "recall"
"""The metric, besides those analysed, that `oracle` computes: for `evaluate.warm_up`."""

# Means of the same values differ by less.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Oracle:
    """`metrics` of the best reordering, per query; `headroom` = mean of it minus the first stage's.

    `gained` is the share of the headroom that the reranker took, below 0 where it lost; None where there is none to
    take. `recall_ceiling` is the mean share of a query's relevant documents that are among its candidates (0 for a
    query without any), the tail left out: no reranker can move the others.
    """

    metrics: QueryMetrics
    headroom: Mapping[str, float]
    gained: Mapping[str, float | None]
    recall_ceiling: float


def oracle(
    outcomes: Sequence[QueryOutcome], judgements: Judgements, first: QueryMetrics, reranked: QueryMetrics
) -> Oracle:
    """The best reordering of the candidates, for each metric of `first`, against the first stage and the reranker.

    Raises what `evaluate_stream` raises.
    """
    ideal = evaluate_stream(
        ((outcome.query_id, best_order(outcome, judgements.grades.get(outcome.query_id, {}))) for outcome in outcomes),
        judgements,
        list(first.values),
    )
    ceiling = evaluate_stream(((outcome.query_id, outcome.doc_ids) for outcome in outcomes), judgements, [RECALL])
    headroom = {metric: ideal.mean(metric) - first.mean(metric) for metric in first.values}
    gained = {
        metric: (reranked.mean(metric) - first.mean(metric)) / room if abs(room) > _ROUNDING else None
        for metric, room in headroom.items()
    }
    return Oracle(ideal, headroom, gained, ceiling.mean(RECALL))


def best_order(outcome: QueryOutcome, grades: Mapping[str, int]) -> tuple[str, ...]:
    """All candidates by grade (an unjudged one has 0), equal ones in first-stage order; then the tail.

    No reordering of the candidates above the tail scores more in any metric of `stages.quality.evaluate` but judged@k,
    which measures the data. Candidates without a text are among them: a reranker that had it could move them.
    """
    by_grade = sorted(outcome.doc_ids, key=lambda doc_id: grades.get(doc_id, 0), reverse=True)
    return (*by_grade, *outcome.tail)
