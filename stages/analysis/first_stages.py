"""Several first stages as one list, tuned on other queries: the baseline that a reranker of all of them has to beat.

What is tried is reciprocal rank fusion, and the lists' scores, scaled to 0..1 within each query, added up by every
weighting of a grid: the convex combination of Bruch, Gai and Ingber, An analysis of fusion functions for hybrid
retrieval (TOIS 2023). Each first stage by itself is one of the weightings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
import numpy.typing as npt

from stages.analysis.fusion import FOLDS, RRF_K, assign_folds, choose_on_others
from stages.core.order import trec_order
from stages.core.records import Candidates, Judgements, QueryMetrics
from stages.quality.evaluate import evaluate_stream

STEPS = (10, 5, 4, 3, 2, 1)
MOST_WEIGHTINGS = 40
# What a list that lacks a document adds for it: less than for its last one, and nothing beside anything else.
_LACKING = -1e-9

Weights = tuple[float, ...]
_Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FusedLists:
    """One query's documents (n, of all its lists together), and what each first stage makes of them.

    `scaled` and `reciprocal` have a row for each first stage: its scores from 0 to 1, and 1 / (RRF_K + rank), ranks
    from 1; of a document that it lacks `_LACKING` and 0.
    """

    query_id: str
    doc_ids: tuple[str, ...]
    scaled: _Values
    reciprocal: _Values

    def by_rank(self) -> tuple[str, ...]:
        """By the sum of the reciprocal ranks."""
        return trec_order(self.doc_ids, self.reciprocal.sum(axis=0).tolist())

    def by_score(self, weights: Weights) -> tuple[str, ...]:
        """By the weighted sum of the scaled scores."""
        return trec_order(self.doc_ids, (np.array(weights) @ self.scaled).tolist())


def fused_lists(lists: Mapping[str, Candidates | None], query_id: str) -> FusedLists:
    """What becomes of one query's lists, each up to its own depth; a first stage without one has None."""
    doc_ids = tuple(dict.fromkeys(doc_id for one in lists.values() if one for doc_id in one.top))
    places = {doc_id: place for place, doc_id in enumerate(doc_ids)}
    scaled, reciprocal = np.full((len(lists), len(doc_ids)), _LACKING), np.zeros((len(lists), len(doc_ids)))
    for row, one in enumerate(lists.values()):
        if one is None:
            continue
        top = [places[doc_id] for doc_id in one.top]
        reciprocal[row, top] = 1 / (RRF_K + np.arange(1, len(top) + 1))
        scores = _scores_of_all(one)
        scaled[row, top] = (scores - scores.min(initial=np.inf)) / (np.ptp(scores) or 1.0) if top else 0
    return FusedLists(query_id, doc_ids, scaled, reciprocal)


def _scores_of_all(one: Candidates) -> _Values:
    """A document without a text has no score on record: that of the one above it, or else below, stands in."""
    known = dict(zip(one.doc_ids, one.scores, strict=True))
    scores = np.array([known.get(doc_id, np.nan) for doc_id in one.top])
    there = np.flatnonzero(~np.isnan(scores))
    if not len(there):
        return np.zeros(len(scores))
    above = np.searchsorted(there, np.arange(len(scores)), "right") - 1
    found: _Values = scores[there[np.maximum(above, 0)]]
    return found


@dataclass(frozen=True, slots=True)
class TunedFusion:
    """`metrics` of each query by what was best on the other folds, by the mean of `chosen_by`; `chosen[fold]` says
    what: weights by first stage, or None for reciprocal rank fusion, whose metrics are `reciprocal_rank`.
    """

    metrics: QueryMetrics
    reciprocal_rank: QueryMetrics
    chosen_by: str
    chosen: tuple[Mapping[str, float] | None, ...]


def tuned_fusion(
    lists: Iterable[Mapping[str, Candidates | None]],
    names: Sequence[str],
    judgements: Judgements,
    metrics: Sequence[str],
    seed: int = 0,
) -> TunedFusion | None:
    """Cross-validated: the first of `metrics` chooses. `lists` holds each query's under all of `names`; those of
    queries that are not judged do not count. None below two judged queries. Raises what `evaluate_stream` raises.
    """
    fused = [
        fused_lists({name: of_query.get(name) for name in names}, query_id)
        for of_query in lists
        if (query_id := next(one.query_id for one in of_query.values() if one)) in judgements.grades
    ]
    ranked = evaluate_stream(((one.query_id, one.by_rank()) for one in fused), judgements, metrics)
    if len(ranked.query_ids) < 2:
        return None
    tried = list(weightings(len(names)))
    found = [ranked, *(_weighted(fused, weights, judgements, metrics) for weights in tried)]
    fold_of = assign_folds(ranked.query_ids, FOLDS, seed)
    fold = np.array([fold_of[query_id] for query_id in ranked.query_ids])
    values = {metric: np.array([one.values[metric] for one in reversed(found)]) for metric in metrics}
    chosen = choose_on_others(values[metrics[0]], fold)  # of equals the last, which is what was tried first
    queries = np.arange(len(fold))
    held_out = {metric: tuple(of_metric[chosen[fold], queries].tolist()) for metric, of_metric in values.items()}
    ways = [None, *(dict(zip(names, weights, strict=True)) for weights in tried)]
    return TunedFusion(
        metrics=QueryMetrics(ranked.query_ids, held_out, ranked.answered),
        reciprocal_rank=ranked,
        chosen_by=metrics[0],
        chosen=tuple(ways[len(found) - 1 - place] for place in chosen),
    )


def weightings(first_stages: int) -> Iterator[Weights]:
    """Weights that add up to 1, on the finest grid of STEPS with at most MOST_WEIGHTINGS; the evenest come first."""
    fitting = (steps for steps in STEPS if comb(steps + first_stages - 1, first_stages - 1) <= MOST_WEIGHTINGS)
    steps = next(fitting, 1)
    grid = [tuple(part / steps for part in parts) for parts in _parts(steps, first_stages)]
    yield from sorted(grid, key=lambda weights: (max(weights), weights))


def _parts(total: int, places: int) -> Iterator[tuple[int, ...]]:
    """The ways to write a whole number as the sum of so many."""
    if places == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _parts(total - first, places - 1):
            yield (first, *rest)


def _weighted(
    fused: Sequence[FusedLists], weights: Weights, judgements: Judgements, metrics: Sequence[str]
) -> QueryMetrics:
    return evaluate_stream(((one.query_id, one.by_score(weights)) for one in fused), judgements, metrics)
