"""Candidates that several rerankers scored, as arrays: where each stands after any of them reranked a top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stages.core.records import Judgements

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

UNSCORED = int(np.iinfo(np.int32).max)


@dataclass(frozen=True, slots=True, eq=False)
class ScoredQuery:
    """One query: its candidates in first-stage order (`top`, those that may be reranked, then the `tail`), and what
    each reranker made of them.

    `first_scores` are those of the candidates that have a text, best first; empty where the first stage gave an order
    alone. `texts` has a number for each of `top`, the same for the same text, -1 where there is none. `orders` has for
    each reranker the ids that it scored, best first, as `stages.core.rerank.rank` orders them; `tokens` the prompt
    tokens of each of those, empty where they were not counted.
    """

    query_id: str
    top: tuple[str, ...]
    tail: tuple[str, ...]
    first_scores: tuple[float, ...]
    texts: tuple[int, ...]
    orders: tuple[tuple[str, ...], ...]
    tokens: tuple[Mapping[str, int], ...]

    def reranked(self, order: Sequence[str], reranker: int, depth: int) -> tuple[str, ...]:
        """The list that a reranker leaves of a list's first `depth`: those it scored, best first; what it could not
        score of them, in their old order; then the rest.
        """
        asked, scored = set(order[:depth]), set(self.orders[reranker])
        first = [doc_id for doc_id in self.orders[reranker] if doc_id in asked]
        return (*first, *(doc_id for doc_id in order[:depth] if doc_id not in scored), *order[depth:])


@dataclass(frozen=True, slots=True, eq=False)
class Lists:
    """All queries; arrays are (queries, longest top), padded at the end of each row.

    `sizes` (queries,) are the lengths of the tops. `ranks` has an array for each reranker: a candidate's place among
    all that it scored of the query, UNSCORED where it did not. `asked` are the candidates that have a text.
    """

    queries: tuple[ScoredQuery, ...]
    sizes: Ints
    ranks: tuple[Ints, ...]
    asked: Mask

    @property
    def width(self) -> int:
        return int(self.asked.shape[1])

    def first_stage(self) -> Ints:
        """The place of each candidate as it was given: 0, 1, 2, ..."""
        return np.broadcast_to(np.arange(self.width, dtype=np.int32), self.asked.shape)


def lists_of(queries: Sequence[ScoredQuery]) -> Lists:
    """Raises ValueError where a reranker scored what is no candidate."""
    width = max((len(query.top) for query in queries), default=0)
    rerankers = len(queries[0].orders) if queries else 0
    ranks = [np.full((len(queries), width), UNSCORED, dtype=np.int32) for _ in range(rerankers)]
    asked = np.zeros((len(queries), width), dtype=bool)
    for row, query in enumerate(queries):
        column = {doc_id: place for place, doc_id in enumerate(query.top)}
        asked[row, : len(query.texts)] = np.array(query.texts) >= 0
        for of_reranker, order in zip(ranks, query.orders, strict=True):
            if not column.keys() >= set(order):
                raise ValueError(f"query {query.query_id!r}: a ranking has documents that are no candidates")
            of_reranker[row, [column[doc_id] for doc_id in order]] = np.arange(len(order))
    sizes = np.array([len(query.top) for query in queries], dtype=np.int32)
    return Lists(tuple(queries), sizes, tuple(ranks), asked)


def rerank(places: Ints, ranks: Ints, depth: int) -> Ints:
    """The places of all candidates once those in the first `depth` places were reranked by `ranks`."""
    width = places.shape[1]
    within = np.where(ranks < UNSCORED, ranks, width + places)
    order = np.argsort(np.where(places < depth, within, 2 * width + places), axis=1, kind="stable")
    found = np.empty(places.shape, dtype=np.int32)
    np.put_along_axis(found, order, np.arange(width, dtype=np.int32)[None, :], axis=1)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Relevant:
    """The relevant documents that a list holds, one after the other, queries in order.

    `query` (documents,) is the place among the judged queries by id, as `evaluate` orders them, `row` that among the
    lists; `column` is that of `Lists`, or -1 in the tail, where `fixed` is its place, whatever is reranked.
    """

    query: Ints
    row: Ints
    column: Ints
    fixed: Ints
    grades: Floats


def relevant_of(lists: Lists, judgements: Judgements, level: int) -> Relevant:
    """Those with a grade of `level` or more."""
    judged = {query_id: place for place, query_id in enumerate(sorted(judgements.grades))}
    found: list[tuple[int, int, int, int, float]] = []
    for row, query in enumerate(lists.queries):
        grades = judgements.grades.get(query.query_id, {})
        for place, doc_id in enumerate(query.top + query.tail):
            if (grade := grades.get(doc_id, 0)) >= level:
                column = place if place < len(query.top) else -1
                found.append((judged[query.query_id], row, column, place, float(grade)))
    found.sort()
    columns = list(zip(*found, strict=True)) or [()] * 5
    ints = [np.array(one, dtype=np.int32) for one in columns[:4]]
    return Relevant(ints[0], ints[1], ints[2], ints[3], np.array(columns[4], dtype=float))


def places_after(places: Ints, ranks: Ints, relevant: Relevant, depths: Sequence[int]) -> Ints:
    """(relevant documents, depths): where each stands once the first d places were reranked, for every d at once.

    The trick: a document within the first d stands where as many of those d rank above it; so one running count along
    the list gives all depths, and no list is made.
    """
    width = places.shape[1]
    by_place = np.take_along_axis(ranks, np.argsort(places, axis=1), axis=1)[relevant.row]
    column = np.maximum(relevant.column, 0)
    own_place, own_rank = places[relevant.row, column], ranks[relevant.row, column]
    above = np.cumsum(by_place < own_rank[:, None], axis=1, dtype=np.int32)  # of an unscored one all that are scored
    scored_before = np.where(own_place > 0, above[np.arange(len(column)), np.maximum(own_place - 1, 0)], 0)
    unscored_before = np.where(own_rank < UNSCORED, 0, own_place - scored_before)
    wanted = np.asarray(depths, dtype=np.int32)
    found = above[:, np.minimum(wanted, width) - 1] + unscored_before[:, None]
    stays = (wanted[None, :] <= own_place[:, None]) | (relevant.column < 0)[:, None]
    fixed = np.where(relevant.column < 0, relevant.fixed, own_place)
    return np.where(stays, fixed[:, None], found).astype(np.int32)
