"""The first stage and the reranker as one list: reciprocal rank fusion, and interpolation of their scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from stages.analysis.outcome import Outcome
from stages.evaluate import evaluate_stream
from stages.order import trec_positions
from stages.records import Judgements, QueryMetrics

RRF_K = 60
"""Of Cormack, Clarke and Buettcher, Reciprocal Rank Fusion outperforms Condorcet and individual rank learning methods
(SIGIR 2009)."""


def fuse_ranks(outcomes: Sequence[Outcome], judgements: Judgements, metrics: Sequence[str]) -> QueryMetrics:
    """Per-query metrics of reciprocal rank fusion. Raises what `evaluate_stream` raises."""
    return evaluate_stream(((outcome.query_id, reciprocal_rank(outcome)) for outcome in outcomes), judgements, metrics)


def reciprocal_rank(outcome: Outcome, k: int = RRF_K) -> tuple[str, ...]:
    """Ids by the sum of 1 / (k + rank) in the first stage and in the reranked list, ranks from 1; then the tail.

    Equal sums by id, as trec_eval orders them.
    """
    ranks = np.arange(1, len(outcome.order) + 1)
    sums = 1 / (k + ranks) + 1 / (k + outcome.order + 1)
    ids = [outcome.doc_ids[position] for position in outcome.order]
    return outcome.listed(outcome.order[list(trec_positions(ids, sums.tolist()))].tolist())


def interpolate(outcome: Outcome, weight: float) -> tuple[str, ...]:
    """Ids by weight * reranker + (1 - weight) * first stage, both scaled to 0..1 within the query; then the tail.

    Interpolation as in Wang, Zhuang and Zuccon, BERT-based dense retrievers require interpolation with BM25 for
    effective passage retrieval (ICTIR 2021), with the scores scaled by their minimum and maximum: the convex
    combination of Bruch, Gai and Ingber, An analysis of fusion functions for hybrid retrieval (TOIS 2023). The
    reranker's logits are scaled where it has them, since probabilities near 0 and 1 tie. Equal sums keep the reranker's
    order, so that weight 1 is its list; weight 0 is the first stage's.
    """
    start = outcome.order if weight > 0 else np.sort(outcome.order)
    sums = weight * _scaled(outcome.keys[start]) + (1 - weight) * _scaled(outcome.first_scores[start])
    return outcome.listed(start[np.argsort(-sums, kind="stable")].tolist())


def _scaled(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """To 0..1; all 0 where all are equal."""
    if not len(values):
        return np.zeros(0)
    above: npt.NDArray[np.float64] = values.astype(np.float64) - values.min()
    return above / (above.max() or 1.0)
