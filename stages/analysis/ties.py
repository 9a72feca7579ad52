"""How often scores do not tell documents apart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from stages.analysis.outcome import QueryOutcome


@dataclass(frozen=True, slots=True)
class Ties:
    """Shares, 0 to 1; None where there is nothing to count.

    `tied_neighbours`: of the documents below another one, those with its very score: their order is by id.
    `all_equal_lists`: of the lists of two and more, those with one score throughout. Both are of what ranks, the logit
    where there is one. `saturated`: of the probabilities, those within half a step of single precision of 0 or 1
    (the larger of p and 1 - p rounds to 1).
    """

    tied_neighbours: float | None
    all_equal_lists: float | None
    saturated: float | None


def ties(outcomes: Iterable[QueryOutcome]) -> Ties:
    """Over all scored pairs, judged or not. Scores are compared in single precision, as trec_eval and `rank` do."""
    neighbours = tied = lists = all_equal = probabilities = saturated = 0
    for outcome in outcomes:
        same = np.diff(outcome.keys[outcome.order]) == 0
        neighbours += len(same)
        tied += int(same.sum())
        lists += len(same) > 0
        all_equal += len(same) > 0 and bool(same.all())
        if outcome.are_probabilities:
            scores = outcome.scores[outcome.order]
            probabilities += len(scores)
            saturated += int((np.maximum(scores, 1 - scores).astype(np.float32) == 1).sum())
    return Ties(_share(tied, neighbours), _share(all_equal, lists), _share(saturated, probabilities))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
