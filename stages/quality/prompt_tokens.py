"""What a prompt of so many tokens holds: documents go in whole, best first, until the next does not fit.

So a list needs a number of tokens, up to and with its first document that has an answer, and the recall of a budget is
the share of queries that need no more. It never falls as the budget grows; it would if what does not fit were passed
over for what stands behind it. Documents without a text take no room; nothing is known of what lies behind the first
document whose tokens nobody counted, such as those below `data.depth`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stages.quality.interval import Interval

RESAMPLES = 2000
_Needed = npt.NDArray[np.float64]


def tokens_needed(ranking: Sequence[str], grades: Mapping[str, int], tokens: Mapping[str, int]) -> float:
    """The tokens of the documents up to the first relevant one, best first; infinite where none of those is whose
    tokens are known, from the first on.
    """
    needed = 0
    for doc_id in ranking:
        if doc_id not in tokens:
            break
        needed += tokens[doc_id]
        if grades.get(doc_id, 0) > 0:
            return needed
    return math.inf


def recall_within(needed: _Needed, budget: float) -> float:
    """The share of queries whose list has an answer within so many tokens; there is one query at least."""
    return float(np.mean(needed <= budget))


@dataclass(frozen=True, slots=True)
class Saving:
    """What reranking saves at the recall that the first stage has with a `budget` of tokens.

    `recall` is that of the first stage, and `reranked_recall` the other list's with the same budget. `first_tokens` and
    `reranked_tokens` are the least budgets with which each has `recall` at least, `saved` their difference: below 0
    reranking needs more. All three are None where the first stage finds nothing within the budget, or the reranked list
    never finds as much.

    `interval` is of `saved`: the paired percentile bootstrap over queries, in each resample of which recall and both
    least budgets are found anew. None where `saved` is, and where an end of it would be infinite.
    """

    budget: int
    recall: float
    reranked_recall: float
    first_tokens: int | None
    reranked_tokens: int | None
    saved: int | None
    interval: Interval | None
    confidence: float


def saving(first: _Needed, reranked: _Needed, budget: int, *, seed: int, confidence: float) -> Saving:
    """`first` and `reranked` are the tokens that each query's list needs, in the same order of queries."""
    sides = _Sides(first, reranked, budget)
    once = np.ones(len(first), dtype=np.int64)
    before, after = sides.least_budgets(once)
    known = math.isfinite(before) and math.isfinite(after)
    return Saving(
        budget=budget,
        recall=recall_within(first, budget),
        reranked_recall=recall_within(reranked, budget),
        first_tokens=int(before) if known else None,
        reranked_tokens=int(after) if known else None,
        saved=int(before - after) if known else None,
        interval=_bootstrapped(sides, len(first), seed, confidence) if known else None,
        confidence=confidence,
    )


def curve(first: _Needed, reranked: _Needed, budgets: Sequence[int], points: int = 60) -> list[dict[str, float]]:
    """The recall of both at budgets from the least that finds an answer to the most that any list needs, by equal
    factors, and at `budgets`: rows of `tokens`, `first_stage` and `reranked`. Empty where no list has an answer.
    """
    both = np.concatenate((first, reranked))
    finite = both[np.isfinite(both)]
    if not len(finite):
        return []
    low, high = max(float(finite.min()), 1.0), max(float(finite.max()), *map(float, budgets), 1.0)
    spread = {math.ceil(one) for one in np.geomspace(low, high, points)}
    return [
        {"tokens": one, "first_stage": recall_within(first, one), "reranked": recall_within(reranked, one)}
        for one in sorted(spread | set(budgets))
    ]


class _Sides:
    """Both lists' needs, sorted once: a resample is a count for each query."""

    def __init__(self, first: _Needed, reranked: _Needed, budget: int) -> None:
        self._within = first <= budget
        self._orders = [np.argsort(side, kind="stable") for side in (first, reranked)]
        self._sorted = [side[order] for side, order in zip((first, reranked), self._orders, strict=True)]

    def least_budgets(self, counts: npt.NDArray[np.int64]) -> tuple[float, float]:
        """The least with which each side finds an answer for as many queries as the first does within the budget; both
        infinite where that is none.
        """
        found = int(counts[self._within].sum())
        if not found:
            return math.inf, math.inf
        ends = []
        for order, needed in zip(self._orders, self._sorted, strict=True):
            ends.append(float(needed[np.searchsorted(np.cumsum(counts[order]), found)]))
        return ends[0], ends[1]


def _bootstrapped(sides: _Sides, queries: int, seed: int, confidence: float) -> Interval | None:
    """A resample in which the first stage finds nothing saves nothing; one in which the reranked list never finds as
    much lies below all others.
    """
    rng = np.random.default_rng(seed)
    saved = np.empty(RESAMPLES)
    for draw in range(RESAMPLES):
        counts = np.bincount(rng.integers(queries, size=queries), minlength=queries)
        before, after = sides.least_budgets(counts)
        saved[draw] = before - after if math.isfinite(before) else 0.0
    tail = (1 - confidence) / 2
    low, high = np.quantile(saved, [tail, 1 - tail], method="inverted_cdf")
    return Interval(float(low), float(high)) if math.isfinite(low) and math.isfinite(high) else None
