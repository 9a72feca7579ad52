"""The first stage and the reranker as one list: reciprocal rank fusion, and interpolation of their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from stages.analysis.outcome import QueryOutcome
from stages.core.order import trec_positions
from stages.core.records import Judgements, QueryMetrics
from stages.quality.evaluate import evaluate_stream

RRF_K = 60
"""Of Cormack, Clarke and Buettcher, Reciprocal Rank Fusion outperforms Condorcet and individual rank learning methods
(SIGIR 2009)."""


def fuse_ranks(outcomes: Sequence[QueryOutcome], judgements: Judgements, metrics: Sequence[str]) -> QueryMetrics:
    """Per-query metrics of reciprocal rank fusion. Raises what `evaluate_stream` raises."""
    return evaluate_stream(((outcome.query_id, reciprocal_rank(outcome)) for outcome in outcomes), judgements, metrics)


def reciprocal_rank(outcome: QueryOutcome) -> tuple[str, ...]:
    """Ids by the sum of 1 / (RRF_K + rank) in the first stage and in the reranked list, ranks from 1; then what was not
    scored, and the tail.

    Equal sums by id, as trec_eval orders them.
    """
    ranks = np.arange(1, len(outcome.order) + 1)
    sums = 1 / (RRF_K + ranks) + 1 / (RRF_K + outcome.order + 1)
    ids = [outcome.doc_ids[position] for position in outcome.order]
    return outcome.listed(outcome.order[list(trec_positions(ids, sums.tolist()))].tolist())


def interpolate(outcome: QueryOutcome, weight: float) -> tuple[str, ...]:
    """Ids by weight * reranker + (1 - weight) * first stage, both scaled to 0..1 within the query; then what was not
    scored, and the tail.

    Interpolation as in Wang, Zhuang and Zuccon, BERT-based dense retrievers require interpolation with BM25 for
    effective passage retrieval (ICTIR 2021), with the scores scaled by their minimum and maximum: the convex
    combination of Bruch, Gai and Ingber, An analysis of fusion functions for hybrid retrieval (TOIS 2023). The
    reranker's logits are scaled where it has them, since probabilities near 0 and 1 tie. Equal sums keep the reranker's
    order, so that weight 1 is its list; weight 0 is the first stage's, as it was given. Of a first stage without scores
    its places are interpolated.
    """
    if not weight:
        return outcome.first_stage()
    start = outcome.order
    sums = weight * _scaled(outcome.keys[start]) + (1 - weight) * _scaled(outcome.first_scores[start])
    return outcome.listed(start[np.argsort(-sums, kind="stable")].tolist())


def _scaled(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """To 0..1; all 0 where all are equal."""
    if not len(values):
        return np.zeros(0)
    above: npt.NDArray[np.float64] = values.astype(np.float64) - values.min()
    return above / (above.max() or 1.0)


WEIGHTS = tuple(tenth / 10 for tenth in range(11))
FOLDS = 5

# Means of the same values in another order differ by less.
_ROUNDING = 1e-12

_Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interpolation:
    """`metrics` of each query at the weight that was best on the other folds, by the mean of `chosen_by`.

    `fold_of[query_id]` is its fold, `weights[fold]` that fold's weight (0 the first stage, 1 the reranker).
    `sweep[weight][metric]` is the mean over all queries at a fixed weight: for a figure, since its best value is chosen
    on the queries that it is reported on.
    """

    metrics: QueryMetrics
    chosen_by: str
    fold_of: Mapping[str, int]
    weights: tuple[float, ...]
    sweep: Mapping[float, Mapping[str, float]]


def interpolation(
    outcomes: Sequence[QueryOutcome], judgements: Judgements, metrics: Sequence[str], seed: int = 0
) -> Interpolation | None:
    """Cross-validated interpolation; the first of `metrics` chooses the weights. None below two judged queries.

    Raises what `evaluate_stream` raises.
    """
    by_weight = {weight: _at_weight(outcomes, judgements, metrics, weight) for weight in WEIGHTS}
    any_weight = by_weight[WEIGHTS[0]]
    if len(any_weight.query_ids) < 2:
        return None
    fold_of = assign_folds(any_weight.query_ids, FOLDS, seed)
    fold = np.array([fold_of[query_id] for query_id in any_weight.query_ids])
    values = {metric: np.array([by_weight[weight].values[metric] for weight in WEIGHTS]) for metric in metrics}
    chosen = choose_on_others(values[metrics[0]], fold)
    queries = np.arange(len(fold))
    held_out = {metric: tuple(of_metric[chosen[fold], queries].tolist()) for metric, of_metric in values.items()}
    return Interpolation(
        metrics=QueryMetrics(any_weight.query_ids, held_out, any_weight.answered),
        chosen_by=metrics[0],
        fold_of=fold_of,
        weights=tuple(WEIGHTS[place] for place in chosen),
        sweep={weight: {metric: here.mean(metric) for metric in metrics} for weight, here in by_weight.items()},
    )


def assign_folds(query_ids: Sequence[str], folds: int, seed: int) -> dict[str, int]:
    """Query id -> fold, dealt out in the order of a hash of `seed` and id: fold sizes differ by at most one."""
    shuffled = sorted(query_ids, key=lambda query_id: sha256(f"{seed}:{query_id}".encode()).digest())
    return {query_id: place % folds for place, query_id in enumerate(shuffled)}


def _at_weight(
    outcomes: Sequence[QueryOutcome], judgements: Judgements, metrics: Sequence[str], weight: float
) -> QueryMetrics:
    lists = ((outcome.query_id, interpolate(outcome, weight)) for outcome in outcomes)
    return evaluate_stream(lists, judgements, metrics)


def choose_on_others(values: _Values, fold: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """For each fold the place of what has the best mean over the other folds, of `values` (what is tried, queries).

    Of equally good ones the last: of weights, the one that leans least on the first stage.
    """
    means = np.array([values[:, fold != held_out].mean(axis=1) for held_out in range(fold.max() + 1)])
    good = means >= means.max(axis=1, keepdims=True) - _ROUNDING
    best: npt.NDArray[np.intp] = values.shape[0] - 1 - np.argmax(good[:, ::-1], axis=1)
    return best
