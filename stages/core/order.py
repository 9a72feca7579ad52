"""How trec_eval orders a list, so that every number here agrees with it: score descending, then document id descending.

trec_eval keeps scores in single precision, so 2.129133 and 2.1291331 are equal, and compares the bytes of ids, which
for UTF-8 is the order of code points, Python's own.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from math import isnan

from stages.core.errors import DataError
from stages.core.records import Ranking


def trec_positions(doc_ids: Sequence[str], scores: Sequence[float]) -> tuple[int, ...]:
    """Positions, best first. Equal ids keep their order. Raises DataError for a score that is not a number."""
    for doc_id, score in zip(doc_ids, scores, strict=True):
        if isnan(score):
            raise DataError(f"the score of document {doc_id!r} is NaN, which has no rank: drop or rescore it")
    singles = array("f", scores)
    by_id = sorted(range(len(doc_ids)), key=doc_ids.__getitem__, reverse=True)
    return tuple(sorted(by_id, key=singles.__getitem__, reverse=True))


def trec_order(doc_ids: Sequence[str], scores: Sequence[float]) -> tuple[str, ...]:
    """Document ids, best first."""
    return tuple(doc_ids[position] for position in trec_positions(doc_ids, scores))


def ranking_keys(ranking: Ranking) -> list[float]:
    """What ranks each document of `ordered()`: the logit, or the score where there is none.

    The tail was not scored; so that other tools keep its place, it gets scores that fall by 1 below the last one, or
    below 0 where none was.
    """
    keys = [score if logit is None else logit for score, logit in zip(ranking.scores, ranking.logits, strict=True)]
    last = keys[-1] if keys else 0.0
    return [*keys, *(last - place for place in range(1, len(ranking.tail) + 1))]
