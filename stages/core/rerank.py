"""Candidates + Scorer -> Rankings."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stages.core.errors import ScoringError
from stages.core.order import trec_order
from stages.core.records import Asked, Candidates, Outcome, PairScore, Ranking
from stages.core.scoring import Scorer, score_batch


async def rerank(batch: Sequence[Candidates], scorer: Scorer) -> list[Ranking]:
    """Score the candidates of a batch of queries and rank them. A query that cannot be scored has all its pairs failed,
    with the reason; one without a pair is not asked for.
    """
    places = [place for place, one in enumerate(batch) if one.texts]
    asked = [Asked(batch[place].query, batch[place].texts, batch[place].instruction) for place in places]
    outcomes = dict(zip(places, await score_batch(scorer, asked) if asked else [], strict=True))
    return [rank(one, _scores(one, outcomes.get(place, []))) for place, one in enumerate(batch)]


def rank(candidates: Candidates, scores: Sequence[PairScore]) -> Ranking:
    """Order the candidates by logit, or by score where there is none; ties by document id, as trec_eval breaks them.

    A pair without a finite score is failed: it is never given a score of its own. Its document stands behind those that
    were scored, in the first stage's order, as one without a text does.
    """
    scored, failed = {}, {}
    for doc_id, pair in zip(candidates.doc_ids, scores, strict=True):
        if (reason := fault(pair)) is None:
            scored[doc_id] = pair
        else:
            failed[doc_id] = reason
    order = trec_order(list(scored), [rank_key(pair) for pair in scored.values()])
    unscored = tuple(doc_id for doc_id in candidates.top if doc_id not in scored)
    in_passages = [scored[doc_id] for doc_id in order] if any(pair.passages > 1 for pair in scored.values()) else []
    tokens = tuple(scored[doc_id].prompt_tokens for doc_id in order)
    read = [pair for pair in scores if not (pair.stored or pair.reused)]
    return Ranking(
        query_id=candidates.query_id,
        doc_ids=tuple(order),
        scores=tuple(_number(scored[doc_id].score) for doc_id in order),
        logits=tuple(scored[doc_id].logit for doc_id in order),
        tail=unscored + candidates.tail,
        failed=failed,
        prompt_tokens=sum(pair.prompt_tokens for pair in read),
        cached_tokens=sum(pair.cached_tokens for pair in read),
        truncated_pairs=sum(pair.truncated for pair in scores),
        store_hits=sum(pair.stored for pair in scores),
        reused_pairs=sum(pair.reused for pair in scores if not pair.stored),
        passages=tuple(pair.passages for pair in in_passages),
        cut_scores=tuple(_number(pair.score if pair.passages == 1 else pair.cut_score) for pair in in_passages),
        cut_logits=tuple(pair.logit if pair.passages == 1 else pair.cut_logit for pair in in_passages),
        unscored=len(unscored),
        pair_tokens=tokens if any(tokens) else (),
    )


def _scores(candidates: Candidates, outcome: Outcome) -> list[PairScore]:
    if isinstance(outcome, ScoringError):
        return [PairScore(None, error=str(outcome))] * len(candidates.texts)
    return outcome


def rank_key(pair: PairScore) -> float:
    """What ranks a scored pair."""
    return _number(pair.score if pair.logit is None else pair.logit)


def _number(value: float | None) -> float:
    if value is None:
        raise ValueError("a failed pair has no score: its fault is asked for first")
    return value


def fault(pair: PairScore) -> str | None:
    if pair.error is not None:
        return pair.error
    if pair.score is None or not math.isfinite(pair.score):
        return f"the score is not a finite number: {pair.score}"
    if not math.isfinite(rank_key(pair)):
        return f"the logit is not a finite number: {pair.logit}"
    return None
