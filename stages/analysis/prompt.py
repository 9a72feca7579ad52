"""What fits in a prompt: the recall of answers by its budget of tokens, and the tokens that reranking saves."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np

from stages.core.records import Judgements
from stages.quality.measures import parse_metric
from stages.quality.prompt_tokens import curve, saving, tokens_needed
from stages.quality.unjudged import TwoLists


def prompt(
    lists: Iterable[TwoLists], judgements: Judgements, metrics: Iterable[str], *, seed: int, confidence: float
) -> dict[str, Any] | None:
    """Over all judged queries; one without candidates never has an answer. None where no metric counts tokens."""
    budgets = sorted({budget for name in metrics if (budget := parse_metric(name).tokens)})
    if not budgets:
        return None
    # Of each query by place: the tokens that its list needs, in the first stage's order and in the new one.
    places = {query_id: place for place, query_id in enumerate(sorted(judgements.grades))}
    first, reranked = np.full(len(places), math.inf), np.full(len(places), math.inf)
    for query_id, before, after in lists:
        grades, tokens = judgements.grades[query_id], judgements.tokens.get(query_id, {})
        first[places[query_id]] = tokens_needed(before, grades, tokens)
        reranked[places[query_id]] = tokens_needed(after, grades, tokens)
    return {
        "queries": len(places),
        "never": int(np.isinf(first).sum()),
        "savings": [asdict(saving(first, reranked, budget, seed=seed, confidence=confidence)) for budget in budgets],
        "curve": curve(first, reranked, budgets),
    }
