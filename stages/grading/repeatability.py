"""A sample of pairs asked twice: does the judge say the same again?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from stages.core.grades import HIGHEST, Graded
from stages.core.words import count, number, share
from stages.grading.kappa import bootstrapped, kappas, resampled
from stages.grading.record import Repeatability, Told
from stages.grading.reply import expected
from stages.quality.proportion import share_interval
from stages.quality.significance import CONFIDENCE

SEEN = 0.01
NOTHING = "no pair has a grade both times"


def repeatability(
    queries: Sequence[str],
    first: Sequence[Graded],
    second: Sequence[Graded],
    *,
    seed: int = 0,
    confidence: float = CONFIDENCE,
) -> Repeatability | None:
    """Parallel: `queries` are the ids of the pairs' queries. None where nothing was asked twice."""
    asked = list(zip(queries, first, second, strict=True))
    if not asked:
        return None
    both = [(query, one, other) for query, one, other in asked if one.grade is not None and other.grade is not None]
    lost = sum((one.grade is None) != (other.grade is None) for _, one, other in asked)
    if not both:
        nothing = Told(None, None, NOTHING)
        words = f"Whether it says the same when asked again cannot be told: {NOTHING}"
        return Repeatability(len(asked), 0, lost, nothing, nothing, None, words)
    places = {query: place for place, query in enumerate(dict.fromkeys(query for query, _, _ in both))}
    tables = np.zeros((len(places), HIGHEST + 1, HIGHEST + 1))
    for query, one, other in both:
        tables[places[query], one.grade, other.grade] += 1
    same, whole = np.einsum("qii->q", tables), tables.sum((1, 2))
    ends = share_interval(same, whole, confidence)
    identical = Told(float(same.sum() / whole.sum()), None if ends is None else (ends.low, ends.high))
    moved = math.fsum(abs((expected(one) or 0.0) - (expected(other) or 0.0)) for _, one, other in both) / len(both)
    kappa = bootstrapped(tables, resampled(tables, seed), kappas, confidence)
    words = f"Asked again, it gave {share(identical.value, 0)} of {count(len(both))} pairs the same grade"
    by = (
        "did not move"
        if not moved
        else f"moved by {number(moved) if moved >= SEEN else f'less than {SEEN}'} on average"
    )
    words += f", and the expected grade {by}"
    return Repeatability(len(asked), len(both), lost, identical, kappa, moved, words)
