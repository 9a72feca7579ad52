"""`stages.judging.inference.infer` for one stratum and thousands of rounds at once, a row of queries each.

Written anew in arrays, as the simulation would take hours otherwise; tests/stages/judging/test_judge_intervals.py holds
both beside each other.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from stages.judging.inference import FEWEST, LEAST_ERRORS, LEAST_OTHER, MARGIN, MOST
from stages.judging.leaning import LEAST_LEFT
from stages.judging.precision import DEGREES, About
from stages.quality.significance import TIE

Values = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Many(NamedTuple):
    """Of each round: whether an interval is told, its ends, whether it leans on the model, and people's alone."""

    told: Flags
    low: Values
    high: Values
    leaned: Flags
    alone_low: Values
    alone_high: Values


def intervals(people: Values, model: Values, mean_f: Values, size: int, about: About, confidence: float) -> Many:
    """`people` and `model` hold what is judged, `mean_f` the mean f of all `size` queries of a round."""
    n = people.shape[1]
    mean, y, f = people.mean(axis=1), _centred(people), _centred(model)
    left = 1 - n / size
    spread = np.where(np.ptp(people, axis=1) < TIE, 0.0, (y**2).sum(axis=1) / (n - 1))
    of_population = spread / size if about is About.LIKE_THESE else np.zeros(len(spread))
    alone = _ends(mean, left * spread / n + of_population, y, min(DEGREES, n - 1.0), confidence)
    told = (spread > 0) & (n >= FEWEST) & (_otherwise(people) >= min(LEAST_OTHER, MOST * n))

    differs = (np.ptp(f, axis=1) >= TIE) & (spread > 0)
    ff = np.where(differs, (f**2).sum(axis=1), 1.0)
    fy = (f * y).sum(axis=1)
    slope = np.clip(fy / ff, 0.0, 1.0)
    rho = fy / np.sqrt(ff * np.where(differs, (y**2).sum(axis=1), 1.0))
    unlike = mean_f - model.mean(axis=1)
    rests = y - slope[:, None] * f
    leaned = told & differs & (rho > MARGIN / math.sqrt(n - 2)) & (_otherwise(people - model) >= LEAST_ERRORS)
    variance = np.maximum(_least_squares(rests, ff, unlike, left), _jackknife(rests, f, ff, unlike, left))
    found = _ends(mean + slope * unlike, variance + of_population, rests, min(DEGREES, n - 1.0) - 1, confidence)
    return Many(
        told, np.where(leaned, found[0], alone[0]), np.where(leaned, found[1], alone[1]), leaned, alone[0], alone[1]
    )


def _centred(values: Values) -> Values:
    return np.asarray(values - values.mean(axis=1, keepdims=True))


def _otherwise(values: Values) -> Values:
    """As `stages.judging.leaning.otherwise`, of each row."""
    ordered = np.sort(np.round(values / TIE), axis=1)
    run, most = np.ones(len(values)), np.ones(len(values))
    for same in (ordered[:, 1:] == ordered[:, :-1]).T:
        run = np.where(same, run + 1, 1)
        most = np.maximum(most, run)
    return np.asarray(np.where(most > 1, values.shape[1] - most, values.shape[1]))


def _least_squares(rests: Values, ff: Values, unlike: Values, left: float) -> Values:
    n = rests.shape[1]
    spread = (rests**2).sum(axis=1) / (n - 2)
    return np.asarray(spread * (left / n + unlike**2 / ff))


def _jackknife(rests: Values, f: Values, ff: Values, unlike: Values, left: float) -> Values:
    n = rests.shape[1]
    weights = 1 / n + (unlike / ff)[:, None] * f
    leverage = 1 / n + f**2 / ff[:, None]
    return np.asarray(left * (n - 1) / n * ((weights * rests / np.maximum(1 - leverage, LEAST_LEFT)) ** 2).sum(axis=1))


def _ends(mean: Values, variance: Values, rests: Values, degrees: float, confidence: float) -> tuple[Values, Values]:
    """As `stages.quality.interval.reaches`."""
    n = rests.shape[1]
    squares = (rests**2).mean(axis=1)
    skewed = np.divide((rests**3).mean(axis=1), squares**1.5, out=np.zeros_like(squares), where=squares > 0)
    skewness = np.where(np.abs(skewed) < 1e-6, 1e-6, skewed)
    student = float(special.stdtrit(degrees, (1 + confidence) / 2)) / math.sqrt(n)

    def back(end: float) -> Values:
        return np.asarray(3 / skewness * (np.cbrt(1 + skewness * (end - skewness / (6 * n))) - 1))

    scale = np.sqrt(n * variance)
    return mean - scale * np.maximum(student, back(student)), mean + scale * np.maximum(student, -back(-student))
