"""Does the judge favour what it judges? Its error on the gain, over the queries that people judged as well.

A judge that resembles the reranker finds relevant what that brings up. Then the gain by its grades, f, is larger than
that by people's, y, and the mean of f - y tells by how much. It takes no assumption of how judges err; where judge and
reranker share weights it is known without any statistics. docs/judging.md has how often it is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stages.core.words import counted, percent
from stages.judging.inference import Labelled, why_none
from stages.judging.precision import About, Stratum, estimate, judged
from stages.quality.interval import Interval
from stages.quality.significance import TIE


@dataclass(frozen=True, slots=True)
class Circularity:
    """`error` is the mean of f - y in the metric's unit over all queries, those that cannot change among them, as the
    `n` that people and the model judged tell it, with its interval at `confidence`: None where it has no spread, and no
    interval of too few. `told`: it is not 0, and not by chance.
    """

    error: float | None
    interval: Interval | None
    told: bool
    n: int
    confidence: float
    words: str


def circularity(strata: Sequence[Labelled], confidence: float) -> Circularity:
    """Of all queries like these. Where judge and people never differ there is no error, and no spread."""
    errors = [Stratum(one.size, one.model - one.people) for one in strata if one.size]
    n = judged(errors)
    found = estimate(errors, About.LIKE_THESE, confidence)
    if found is None:
        return Circularity(None, None, False, n, confidence, _without_spread(errors, n))
    words = (
        f"by {counted(n, 'query', 'queries')} that both judged the change over all is {abs(found.mean):.4f} "
        f"{'larger' if found.mean > 0 else 'smaller'} by the model's grades than by people's"
    )
    if why_none(errors):
        too_few = f"{words}: too few to say whether the judge favours either order"
        return Circularity(found.mean, None, False, n, confidence, too_few)
    low, high = found.interval
    told = not low <= 0 <= high
    blind = all(np.all(np.abs(one.model) < TIE) for one in strata)
    words += f" ({percent(confidence)} interval {low:+.3f} to {high:+.3f}): "
    words += (
        "that may be chance"
        if not told
        else f"more than chance, {'as' if blind else 'so'} it "
        + ("sees no change in any of them" if blind else f"favours the order {'after' if low > 0 else 'before'}")
    )
    return Circularity(found.mean, found.interval, told, n, confidence, words)


def _without_spread(errors: Sequence[Stratum], n: int) -> str:
    values = np.concatenate([np.zeros(0), *(one.values for one in errors)])
    if n < 2 or any(len(one.values) < min(2, one.size) for one in errors):
        return f"{counted(n, 'query', 'queries')} judged by people and the model: its error on the change is not known"
    if np.all(np.abs(values) < TIE):
        return f"by the model's grades the change is that by people's in all {n:,} queries that both judged"
    return f"the model's error is the same in all {n:,} queries that both judged: it has no spread"
