"""Whether a pair's score depends on the place of its document in the call, which it must not unless the model reads a
list as a whole.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

from stages.core.errors import ScoringError
from stages.core.records import Candidates
from stages.core.rerank import rank
from stages.core.scoring import Scorer

# Enough to see a score that depends on its place, few enough to cost a second.
POSITION_DOCUMENTS = 20


@dataclass(frozen=True, slots=True)
class PositionCheck:
    """The largest differences between scores in original and in shuffled order, over `pairs` pairs of `queries`.

    `largest` is in the unit of the score, `largest_logit` in that of the logit (None where there is none); `where` is
    the (query id, document id) of the largest, None where no score differs. `failed` pairs had no score in one of
    the orders and were not compared. Low precision moves a score a little with what shares its batch. `listwise`: the
    model reads a list as a whole, so that order matters by design.
    """

    queries: int
    pairs: int
    failed: int
    largest: float
    largest_logit: float | None
    where: tuple[str, str] | None
    listwise: bool = False


@dataclass(frozen=True, slots=True)
class _Change:
    score: float
    logit: float | None
    where: tuple[str, str]


async def position_check(scorer: Scorer, queries: Iterable[Candidates], *, listwise: bool = False) -> PositionCheck:
    """Score each query's candidates as given and shuffled. The scorer must not have a score store in front of it."""
    rng = random.Random(0)
    changes: list[_Change] = []
    asked = pairs = 0
    for candidates in queries:
        asked, pairs = asked + 1, pairs + len(candidates.doc_ids)
        changes += await _changes(scorer, candidates, rng)
    worst = max(changes, key=lambda change: (change.score, change.logit or 0.0), default=None)
    return PositionCheck(
        queries=asked,
        pairs=len(changes),
        failed=pairs - len(changes),
        largest=worst.score if worst else 0.0,
        largest_logit=max((change.logit for change in changes if change.logit is not None), default=None),
        where=worst.where if worst and (worst.score or worst.logit) else None,
        listwise=listwise,
    )


def top_of(candidates: Candidates) -> Candidates:
    """Their first documents, in whose places a score may be seen to depend on them."""
    return replace(
        candidates,
        doc_ids=candidates.doc_ids[:POSITION_DOCUMENTS],
        texts=candidates.texts[:POSITION_DOCUMENTS],
        scores=candidates.scores[:POSITION_DOCUMENTS],
        tail=(),
        listed=(),
    )


async def _changes(scorer: Scorer, candidates: Candidates, rng: random.Random) -> list[_Change]:
    order = list(range(len(candidates.doc_ids)))
    rng.shuffle(order)
    if order == sorted(order):
        order.reverse()
    before = await _scored(scorer, candidates, list(range(len(order))))
    after = await _scored(scorer, candidates, order)
    return [
        _Change(
            score=abs(score - after[doc_id][0]),
            logit=None if logit is None or (other := after[doc_id][1]) is None else abs(logit - other),
            where=(candidates.query_id, doc_id),
        )
        for doc_id, (score, logit) in before.items()
        if doc_id in after
    ]


async def _scored(scorer: Scorer, candidates: Candidates, order: list[int]) -> dict[str, tuple[float, float | None]]:
    """Document id -> score and logit of the pairs that did not fail."""
    texts = [candidates.texts[place] for place in order]
    try:
        answer = await scorer.score(candidates.query, texts, candidates.instruction)
    except ScoringError:
        return {}
    pairs = dict(zip(order, answer, strict=True))
    ranking = rank(candidates, [pairs[place] for place in range(len(order))])
    return dict(zip(ranking.doc_ids, zip(ranking.scores, ranking.logits, strict=True), strict=True))
