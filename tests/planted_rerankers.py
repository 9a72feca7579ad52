"""Simulated collections, and rerankers over them: planted useless ones, and real ones of a known quality.

A query has candidates of which some are relevant. The first stage sees relevance through noise, and so does a real
reranker; what both see beside relevance (the topic) makes their orders alike. A real reranker's quality is its
concordance: how often it puts a relevant document above another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from stages.analysis.orders import Orders
from stages.analysis.outcome import QueryOutcome, outcome_of
from stages.analysis.useless import Uselessness, useless
from stages.core.records import Candidates, PairScore
from stages.core.rerank import rank

METRIC = "ndcg@10"

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """How large a collection is: `candidates` and `relevant` are the fewest and the most of a query; `judged` is the
    share of its queries that are, `informative` whether the first stage sees relevance and topic at all.
    """

    queries: int
    candidates: tuple[int, int] = (10, 30)
    relevant: tuple[int, int] = (1, 4)
    judged: bool = True
    informative: bool = True


@dataclass(frozen=True)
class Given:
    """What there is to see of one query's candidates, which stand in the first stage's order."""

    relevant: Values
    topic: Values
    first: Values


Reranker = Callable[[Given, np.random.Generator], Values]


def real(concordance: float, topic: float = 0.5) -> Reranker:
    """One of that quality; `topic` is how much it sees of what the first stage sees too."""
    distance = float(special.ndtri(concordance)) * np.sqrt(2 * (1 + topic**2))

    def scores(given: Given, rng: np.random.Generator) -> Values:
        return distance * given.relevant + topic * given.topic + rng.normal(size=len(given.first))

    return scores


def turned(reranker: Reranker) -> Reranker:
    """With the sign of its scores turned."""
    return lambda given, rng: -reranker(given, rng)


PLANTED: Mapping[str, tuple[str, Reranker]] = {
    "constant": ("constant", lambda given, rng: np.full(len(given.first), 0.5)),
    "the first stage's copy": ("first_stage", lambda given, rng: np.exp(given.first / 4)),
    "the first stage reversed": ("reversed", lambda given, rng: -given.first),
    "a real one reversed": ("reversed", turned(real(0.75))),
    "random": ("random", lambda given, rng: rng.normal(size=len(given.first))),
}
"""Reranker -> the name that it ought to get, and its scores."""


def collection(
    shape: Shape, reranker: Reranker, rng: np.random.Generator
) -> Iterator[tuple[QueryOutcome, dict[str, int]]]:
    """Each query, with its judgements."""
    for number in range(shape.queries):
        size = int(rng.integers(shape.candidates[0], shape.candidates[1] + 1))
        relevant = np.zeros(size)
        relevant[: min(int(rng.integers(shape.relevant[0], shape.relevant[1] + 1)), size - 1)] = 1
        topic = rng.normal(size=size)
        seen = 1.5 * relevant + topic if shape.informative else np.zeros(size)
        first = seen + rng.normal(size=size)
        order = np.argsort(-first)
        given = Given(relevant[order], topic[order], first[order])
        yield _outcome(f"q{number}", given, reranker(given, rng), rng)


def _outcome(
    query_id: str, given: Given, scores: Values, rng: np.random.Generator
) -> tuple[QueryOutcome, dict[str, int]]:
    """Ids say nothing of the order, so that ties are broken by chance."""
    ids = tuple(f"d{number}" for number in rng.permutation(len(scores)))
    candidates = Candidates(query_id, "red apple", ids, ("a text",) * len(ids), tuple(given.first.tolist()))
    outcome = outcome_of(candidates, rank(candidates, [PairScore(score) for score in scores.tolist()]))
    return outcome, {doc_id: int(grade) for doc_id, grade in zip(ids, given.relevant.tolist(), strict=True)}


def found(shape: Shape, reranker: Reranker, seed: int) -> Uselessness:
    """What is said of that reranker over one collection."""
    orders = Orders(METRIC, has_first_stage=True)
    for outcome, grades in collection(shape, reranker, np.random.default_rng(seed)):
        orders.add(outcome, grades if shape.judged else None)
    return useless(orders)
