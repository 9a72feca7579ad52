"""Interpolation of first-stage and reranker scores, with the weight chosen on other queries than it is reported on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from stages.analysis.fusion import interpolate
from stages.analysis.outcome import Outcome
from stages.errors import ConfigError
from stages.evaluate import evaluate_stream
from stages.records import Judgements, QueryMetrics

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
    outcomes: Sequence[Outcome], judgements: Judgements, metrics: Sequence[str], seed: int = 0, folds: int = FOLDS
) -> Interpolation | None:
    """Cross-validated interpolation; the first of `metrics` chooses the weights. None below two judged queries.

    Raises ConfigError for fewer than two folds, and what `evaluate_stream` raises.
    """
    if folds < 2:
        raise ConfigError(f"Cross-validation needs at least two folds, not {folds}.")
    by_weight = {weight: _at_weight(outcomes, judgements, metrics, weight) for weight in WEIGHTS}
    any_weight = by_weight[WEIGHTS[0]]
    if len(any_weight.query_ids) < 2:
        return None
    fold_of = assign_folds(any_weight.query_ids, folds, seed)
    fold = np.array([fold_of[query_id] for query_id in any_weight.query_ids])
    values = {metric: np.array([by_weight[weight].values[metric] for weight in WEIGHTS]) for metric in metrics}
    chosen = _choose(values[metrics[0]], fold)
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
    outcomes: Sequence[Outcome], judgements: Judgements, metrics: Sequence[str], weight: float
) -> QueryMetrics:
    lists = ((outcome.query_id, interpolate(outcome, weight)) for outcome in outcomes)
    return evaluate_stream(lists, judgements, metrics)


def _choose(values: _Values, fold: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """For each fold the place of the weight with the best mean over the other folds, of `values` (weights, queries).

    Of equally good weights the largest: it leans least on the first stage.
    """
    means = np.array([values[:, fold != held_out].mean(axis=1) for held_out in range(fold.max() + 1)])
    good = means >= means.max(axis=1, keepdims=True) - _ROUNDING
    best: npt.NDArray[np.intp] = values.shape[0] - 1 - np.argmax(good[:, ::-1], axis=1)
    return best
