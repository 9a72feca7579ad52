"""What engines say of pairs -> what requests ask for: values, tokens, times. No HTTP in here."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from serve_app.http.api_models import RerankRequest, ScoreRequest, Usage
from serve_app.http.refusal import RefusalError
from stages.core.records import PairScore, TimedScores


def values_of(pairs: Sequence[PairScore], asked: RerankRequest | ScoreRequest, model: str) -> list[float]:
    """What the request calls scores. Raises RefusalError where they are not to be had as it wants them."""
    for index, pair in enumerate(pairs):
        if pair.score is None:
            raise RefusalError(500, "engine_error", f"document {index}: {pair.error}", "documents")
        if pair.truncated and not asked.may_cut:
            message = f"document {index} is longer than the model reads, and may not be cut: shorten it, or allow that"
            raise RefusalError(422, "too_long", message, "documents")
    logits = [pair.logit for pair in pairs if pair.logit is not None]
    if asked.scores == "raw" and len(logits) < len(pairs):
        message = f"{model} has no raw scores, as it computes no logit: ask without raw_scores"
        raise RefusalError(422, "bad_request", message, "raw_scores")
    if asked.scores != "score" and len(logits) == len(pairs):
        return logits
    return [pair.score for pair in pairs if pair.score is not None]


def pairs_of(request: ScoreRequest) -> tuple[list[str], list[str]]:
    """A query for each document. Raises RefusalError where their numbers make no pairs."""
    first, second = list(request.queries), list(request.documents)
    if len(first) == 1:
        return first * len(second), second
    if len(first) != len(second):
        message = f"text_1 has {len(first)} texts and text_2 {len(second)}: give 1 to 1, 1 to N, or N to N"
        raise RefusalError(422, "bad_request", message, "text_1")
    return first, second


def rank_key(pair: PairScore) -> float:
    """What a pair is ranked by: probabilities near 0 and 1 tie."""
    value = pair.score if pair.logit is None else pair.logit
    return float("-inf") if value is None else value


def usage_of(pairs: Sequence[PairScore]) -> Usage:
    """What the engine read for these pairs."""
    prompt = sum(pair.prompt_tokens for pair in pairs)
    return Usage(prompt_tokens=prompt, total_tokens=prompt, cached_tokens=sum(pair.cached_tokens for pair in pairs))


def timings_of(scores: TimedScores, started_s: float) -> dict[str, Any]:
    """Where the time went, until now."""
    total_ms = (time.perf_counter() - started_s) * 1000
    timings = {"tokenize": scores.tokenize_ms, "queue": scores.queue_ms, "engine": scores.engine_ms, "total": total_ms}
    return {"timings_ms": {name: round(value, 3) for name, value in timings.items()}}
