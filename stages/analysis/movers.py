"""The queries that won and lost most, with their texts and the documents that moved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stages.core.records import Candidates, Judgements, QueryMetrics, Ranking

QUERIES_SHOWN = 10
DOCUMENTS_SHOWN = 10
EXCERPT_CHARACTERS = 300

_TOP = 10  # a document that never was in the first ten is shown only where it is relevant


@dataclass(frozen=True, slots=True)
class MovedDocument:
    """A candidate that changed its rank (from 1). `grade` is None where it is not judged, `score` where its pair failed
    or it has no text; `excerpt` is the start of that. Runs of before failed documents were ranked have no `new_rank`.
    """

    doc_id: str
    grade: int | None
    old_rank: int
    new_rank: int | None
    score: float | None
    excerpt: str


@dataclass(frozen=True, slots=True)
class Mover:
    """A query whose metric changed, and its documents: relevant ones first, then by their new rank."""

    query_id: str
    query: str
    first_stage: float
    reranked: float
    documents: tuple[MovedDocument, ...]


@dataclass(frozen=True, slots=True)
class Movers:
    """Largest differences first."""

    won: tuple[Mover, ...]
    lost: tuple[Mover, ...]


def movers(
    reranked: Iterable[tuple[Candidates, Ranking]],
    judgements: Judgements,
    first: QueryMetrics,
    after: QueryMetrics,
    metric: str,
) -> Movers:
    """The QUERIES_SHOWN queries that gained most of `metric` from `first` to `after`, and as many that lost most.

    `reranked` is read once; texts are kept of these queries only. A query without candidates is not shown.
    """
    won, lost = _extremes(first, after, metric)
    before = dict(zip(first.query_ids, first.values[metric], strict=True))
    now = dict(zip(after.query_ids, after.values[metric], strict=True))
    found = {
        candidates.query_id: Mover(
            query_id=candidates.query_id,
            query=candidates.query,
            first_stage=before[candidates.query_id],
            reranked=now[candidates.query_id],
            documents=_moved(candidates, ranking, judgements.grades[candidates.query_id]),
        )
        for candidates, ranking in reranked
        if candidates.query_id in won or candidates.query_id in lost
    }
    return Movers(
        won=tuple(found[query_id] for query_id in won if query_id in found),
        lost=tuple(found[query_id] for query_id in lost if query_id in found),
    )


def _extremes(first: QueryMetrics, after: QueryMetrics, metric: str) -> tuple[list[str], list[str]]:
    """Ids of the queries that won and lost most; equal ones by id."""
    pairs = zip(first.query_ids, first.values[metric], after.values[metric], strict=True)
    changes = sorted((now - before, query_id) for query_id, before, now in pairs)
    lost = [query_id for change, query_id in changes if change < 0][:QUERIES_SHOWN]
    won = [query_id for change, query_id in sorted(changes, key=lambda item: (-item[0], item[1])) if change > 0][
        :QUERIES_SHOWN
    ]
    return won, lost


def _moved(candidates: Candidates, ranking: Ranking, grades: Mapping[str, int]) -> tuple[MovedDocument, ...]:
    new_ranks = {doc_id: rank for rank, doc_id in enumerate(ranking.ordered(), start=1)}
    texts = dict(zip(candidates.doc_ids, candidates.texts, strict=True))
    scores = dict(zip(ranking.doc_ids, ranking.scores, strict=True))
    moved = [
        MovedDocument(
            doc_id=doc_id,
            grade=grades.get(doc_id),
            old_rank=old_rank,
            new_rank=new_ranks.get(doc_id),
            score=scores.get(doc_id),
            excerpt=texts.get(doc_id, "")[:EXCERPT_CHARACTERS],
        )
        for old_rank, doc_id in enumerate(candidates.top, start=1)
        if new_ranks.get(doc_id) != old_rank
    ]
    return tuple(sorted(filter(_is_telling, moved), key=_relevance_then_rank)[:DOCUMENTS_SHOWN])


def _is_telling(document: MovedDocument) -> bool:
    return (document.grade or 0) > 0 or min(document.old_rank, document.new_rank or document.old_rank) <= _TOP


def _relevance_then_rank(document: MovedDocument) -> tuple[int, float]:
    return -max(document.grade or 0, 0), document.new_rank or float("inf")
