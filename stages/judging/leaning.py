"""How far the values of a model may be leaned on in place of people's: the regression of y on f over judged queries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stages.judging.precision import Stratum
from stages.quality.significance import TIE

Values = npt.NDArray[np.float64]

LEAST_LEFT = 0.05
"""Of a judged query's leverage this much is left to the others in the jackknife: no division by next to nothing."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A stratum of `size` queries: the values by people's grades of those that people judged, those by the model's of
    the same queries in the same order, and of the `rest`. A query whose change is known to be 0 counts as judged.
    """

    size: int
    people: Values
    model: Values
    rest: Values

    def __post_init__(self) -> None:
        if len(self.people) != len(self.model) or len(self.people) + len(self.rest) != self.size:
            raise ValueError(
                f"{self.size} queries: {len(self.people)} by people, {len(self.model)} and {len(self.rest)} by a model"
            )

    @property
    def known(self) -> bool:
        return not len(self.rest)

    @property
    def unlike(self) -> float:
        """How far the mean f of all queries is from that of the judged ones."""
        mean = (math.fsum(self.model) + math.fsum(self.rest)) / self.size
        return mean - math.fsum(self.model) / len(self.model)

    def less(self, slope: float) -> Stratum:
        """What is left of people's values, where they are not all known, less `slope` times the model's."""
        return Stratum(self.size, self.people if self.known or not slope else self.people - slope * self.model)


@dataclass(frozen=True, slots=True)
class Lean:
    """What the open strata tell of y and f together, each by the part that it has in the error: the `slope` of y on f,
    clipped to 0 and 1, and their correlation `rho`, with the degrees of freedom that are left to it. `errors`: how many
    judged queries the model gets otherwise than most, or the slope does within their strata, whichever are fewer.
    `correction` is what the mean of people's values is corrected by, and `variance` that of the mean over exactly these
    queries when it is.
    """

    slope: float
    rho: float
    spare: int
    errors: int
    correction: float
    variance: float


class _Pairs(NamedTuple):
    """Of each judged query of an open stratum: f and y less their stratum's mean; its weight in the estimate, the part
    of its stratum in the error, the share of the stratum that is not judged, and how many are.
    """

    f: Values
    y: Values
    weight: Values
    part: Values
    left: Values
    n: Values


def lean(strata: Sequence[Labelled]) -> Lean | None:
    """None where the model or people never differ within a stratum. Every open stratum has two judged queries or more.

    The slope is that of the combined regression estimator (Cochran, section 7.10), which makes its variance smallest.
    """
    open_ones = [one for one in strata if not one.known]
    pairs = _pairs(open_ones, sum(one.size for one in strata))
    if min(np.ptp(pairs.f), np.ptp(pairs.y)) < TIE:
        return None
    ff = math.fsum(pairs.part * pairs.f**2)
    fy = math.fsum(pairs.part * pairs.f * pairs.y)
    slope = min(1.0, max(0.0, fy / ff))
    total = sum(one.size for one in strata)
    unlike = math.fsum(one.size / total * one.unlike for one in open_ones)
    spare = max(1, len(pairs.f) - len(open_ones) - 1)
    return Lean(
        slope=slope,
        rho=fy / math.sqrt(ff * math.fsum(pairs.part * pairs.y**2)),
        spare=spare,
        errors=_errors(open_ones, slope),
        correction=slope * unlike,
        variance=max(_least_squares(pairs, slope, unlike, spare), _jackknife(pairs, slope, unlike)),
    )


def otherwise(values: Values) -> int:
    """How many have another value than the one that most have; all of them where no two have the same."""
    most = int(np.unique(np.round(values / TIE), return_counts=True)[1].max(initial=0))
    return len(values) - most if most > 1 else len(values)


def _errors(strata: Sequence[Labelled], slope: float) -> int:
    """A model that is off by one share, or by one amount in each stratum, leaves nothing to tell its errors from."""
    left = [one.people - slope * one.model for one in strata]
    within = sum(otherwise(values) for values in left if np.ptp(values) >= TIE)
    return min(within, otherwise(np.concatenate([one.people - one.model for one in strata])))


def _pairs(strata: Sequence[Labelled], total: int) -> _Pairs:
    n = np.array([len(one.people) for one in strata])
    size = np.array([one.size for one in strata])
    left = 1 - n / size
    columns = (size / total / n, (size / total) ** 2 * left / n / (n - 1), left, n)
    return _Pairs(
        np.concatenate([one.model - one.model.mean() for one in strata]),
        np.concatenate([one.people - one.people.mean() for one in strata]),
        *(np.repeat(column, n).astype(np.float64) for column in columns),
    )


def _least_squares(pairs: _Pairs, slope: float, unlike: float, spare: int) -> float:
    """With the residuals' variance on n - 2 degrees of freedom, and what the slope's own error adds (Cochran, section
    7.4): the more the less the judged queries are like all in f.
    """
    rests = pairs.y - slope * pairs.f
    ff = math.fsum(pairs.part * pairs.f**2)
    mean = (spare + 1) / spare * math.fsum(pairs.part * rests**2)
    return mean + unlike**2 * math.fsum(rests**2) / spare * math.fsum((pairs.part * pairs.f) ** 2) / ff**2


def _jackknife(pairs: _Pairs, slope: float, unlike: float) -> float:
    """From estimates without each judged query in turn, which few large errors of the model do not deceive (Royall and
    Cumberland, The finite-population linear regression estimator and estimators of its variance, Journal of the
    American Statistical Association 76, 1981).
    """
    ff = math.fsum(pairs.part * pairs.f**2)
    weights = pairs.weight + unlike * pairs.part * pairs.f / ff
    leverage = 1 / pairs.n + pairs.part * pairs.f**2 / ff
    moved = weights * (pairs.y - slope * pairs.f) / np.maximum(1 - leverage, LEAST_LEFT)
    return math.fsum(pairs.left * (pairs.n - 1) / pairs.n * moved**2)
