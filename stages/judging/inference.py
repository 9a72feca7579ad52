"""The mean where people judged some queries, drawn at random, and a model judged all: prediction-powered inference.

With y a query's value (a metric, or its change) by people's grades and f that by the model's, the estimate is
mean_S(y) + L (mean f - mean_S(f)): that of the queries S that people judged, corrected by how far their f lies from
that of all. L = 0 are people alone; L = 1 is PPI (Angelopoulos et al., Prediction-powered inference, Science 382,
2023), L from the data PPI++ (Angelopoulos, Duchi and Zrnic, arXiv 2311.01453). Survey sampling has them as difference
and regression estimator (Cochran, Sampling Techniques, 3rd edition, 1977, sections 7.2 to 7.10), and both estimands: of
exactly these queries, and of all like them. However wrong the model, the estimate is right on average but for what
tuning costs; it is as precise as f tells y, which nobody knows but from the judged queries.

So the rule below, which was fixed by simulation and before any judgement, looks at how well f goes along with y and at
nothing else: not at the estimates, nor at which interval came out narrower. docs/judging.md has what comes of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from stages.core.words import counted
from stages.judging.leaning import Labelled, Lean, Values, lean, otherwise
from stages.judging.number import LEAST, LEAST_CHANGED
from stages.judging.precision import About, Estimate, Stratum, estimate, judged, spread
from stages.quality.interval import Interval, reaches

__all__ = ["Inference", "Labelled", "Method", "infer", "why_none"]

MARGIN = 1.25
"""A tuned L is better than none only where rho > 1/sqrt(n - 2) (arXiv 2505.20178). As rho is known from the sample
alone the rule asks for a little more. Far less, and the interval is wider than people's alone on average; far more, and
the model is leaned on mostly where the sample flatters it, and the interval holds the truth too seldom.
"""

FEWEST = 10
"""Of fewer judged queries there is no interval: how often it is wrong was not seen."""

LEAST_OTHER, MOST = 15, 0.8
"""Where fewer judged queries than this number, and than this share of them, have another value than most, which of a
change is 0, the interval is wrong too often, and there is none.
"""

LEAST_ERRORS = 10
"""Of fewer judged queries in which the model errs otherwise than in most, how far it errs is a guess."""


class Method(StrEnum):
    """What the interval is made of."""

    PEOPLE = "people"
    PPI = "ppi"
    TUNED = "ppi++"
    EXACT = "exact"


@dataclass(frozen=True, slots=True)
class Inference:
    """The mean and its interval, in the metric's unit, by a `method` that `reason` explains; without an interval
    `reason` says why there is none. `weight` is the L of the model, and `rho` how closely its values go along with
    people's over the `n` queries that people judged, of those that are open, of a `population` of queries; None where
    it is not known. `doubt` says why the interval is not sure, and is empty where it is.
    """

    method: Method | None
    mean: float | None
    interval: Interval | None
    reason: str
    rho: float | None
    n: int
    population: int
    weight: float = 0.0
    doubt: str = ""


def infer(strata: Sequence[Labelled], about: About, confidence: float) -> Inference:
    """Of the mean over all strata. Nothing is drawn; the order of queries and strata decides nothing."""
    strata = [one for one in strata if one.size]
    by_people = [one.less(0) for one in strata]
    n, population = judged(by_people), sum(one.size for one in strata)
    alone = estimate(by_people, about, confidence)
    known = all(one.known for one in strata)
    if known and about is About.THESE and alone is not None:
        return Inference(Method.EXACT, alone.mean, alone.interval, "people judged every query", None, n, population)
    if alone is None or why_none(by_people):
        reason = why_none(by_people) or _no_spread(by_people)
        return Inference(None, None, None, reason, None, n, population)
    found = None if known else lean(strata)
    rho, doubt = found.rho if found else None, _doubt(by_people, n)
    if found is None or _why_people_alone(found, n):
        reason = _why_people_alone(found, n) if found else _nothing_to_lean_on(known)
        return Inference(Method.PEOPLE, alone.mean, alone.interval, reason, rho, n, population, doubt=doubt)
    told = _leaning(strata, found, about, confidence)
    method = Method.PPI if found.slope == 1 else Method.TUNED
    reason = _why_leaning(found, n)
    return Inference(method, told.mean, told.interval, reason, rho, n, population, found.slope, doubt)


def _leaning(strata: Sequence[Labelled], found: Lean, about: About, confidence: float) -> Estimate:
    """Tuning costs a degree of freedom, whether or not the slope was clipped."""
    by_people = [one.less(0) for one in strata]
    left, whole = spread([one.less(found.slope) for one in strata], about), spread(by_people, about)
    assert left is not None
    assert whole is not None
    n, population = judged(by_people), whole.population
    mean = math.fsum(one.size / population * one.mean for one in by_people) + found.correction
    variance = found.variance + (whole.whole / population if about is About.LIKE_THESE else 0.0)
    below, above = reaches(n, left.skewness, confidence, max(1.0, left.degrees - 1))
    scale = math.sqrt(n * variance)
    return Estimate(mean, Interval(mean - scale * below, mean + scale * above))


def why_none(strata: Sequence[Stratum]) -> str:
    """Why there is no interval of their mean; empty where there is one, if there is any spread."""
    n, other = judged(strata), otherwise(_open_values(strata))
    if any(not one.known and len(one.values) < 2 for one in strata):
        return _no_spread(strata)
    if n < FEWEST:
        return f"people judged {counted(n, 'query', 'queries')}: of fewer than {FEWEST} there is no interval"
    if other < min(LEAST_OTHER, MOST * n):
        return (
            f"only {other:,} of {n:,} judged queries have another value than most: an interval takes "
            f"{min(LEAST_OTHER, math.ceil(MOST * n))}"
        )
    return ""


def _no_spread(strata: Sequence[Stratum]) -> str:
    short = [one for one in strata if not one.known and len(one.values) < 2]
    if not short:
        return "all judged queries have the same value, so how far values differ is not known"
    if len(short) == len(strata) == 1:
        return f"people judged {counted(len(short[0].values), 'query', 'queries')}: it takes two to tell a spread"
    return f"in {counted(len(short), 'stratum', 'strata')} people judged fewer than two queries"


def _nothing_to_lean_on(known: bool) -> str:
    return "people judged every query" if known else "the model gives all judged queries the same value"


def _why_people_alone(found: Lean, n: int) -> str:
    """The rule; empty where the model is leaned on."""
    if found.errors < LEAST_ERRORS:
        return (
            f"the model errs otherwise than in most in only {found.errors:,} of {n:,} judged queries: too few to tell "
            "how far it errs in the others"
        )
    if found.rho <= _asked(found):
        return f"over {n:,} judged queries the model goes along with people too little ({_correlation(found)})"
    return ""


def _why_leaning(found: Lean, n: int) -> str:
    return f"over {n:,} judged queries the model goes along with people ({_correlation(found)})"


def _correlation(found: Lean) -> str:
    return f"correlation {found.rho:.2f}, and the rule asks for more than {_asked(found):.2f}"


def _asked(found: Lean) -> float:
    """Above 1 with so few queries that no model could be leaned on."""
    return MARGIN / math.sqrt(found.spare)


def _doubt(strata: Sequence[Stratum], n: int) -> str:
    """As of a plan's verdict."""
    other = otherwise(_open_values(strata))
    if n < LEAST:
        return f"only {counted(n, 'query is', 'queries are')} judged: below {LEAST} none is sure"
    if other < LEAST_CHANGED:
        return f"only {other:,} of {n:,} judged queries have another value than most: such an interval is not sure"
    return ""


def _open_values(strata: Sequence[Stratum]) -> Values:
    return np.concatenate(
        [np.zeros(0), *([one.values for one in strata if not one.known] or [one.values for one in strata])]
    )
