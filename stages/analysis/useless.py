"""Is this reranker one that tells nothing? Constant scores, the first stage's order once more, a reversed order, or a
random one are named, from the run alone.

Each test has a chance of at most EACH to name a reranker that does something:

    constant      no test: in ALMOST_ALL of the lists all documents have one score
    first_stage   ALMOST_ALL pairs of candidates stand as before, and no reranker that turns one pair of the first
                  stage's neighbours in ten keeps so many (binomial)
    reversed      the same of a list upside down; or, by the judgements, a relevant document stands above another one
                  less often than in a random order: the whole interval lies below 1/2; or, where they do not say the
                  contrary, the whole interval of Kendall's tau lies below -TAU_OF_NONE
    random        by the judgements: the interval holds 1/2 and ends below MODEST, that of nDCG above random orders
                  holds 0, and, where there is a first stage, that of tau holds 0 and lies within TAU_OF_NONE of it

The last is a test of equivalence: that nothing was found is not enough, as few queries never find anything. A reranker
that puts a relevant document above another one in MODEST of cases is called random with a chance of EACH at most,
whatever the number of queries; where these are too few to exclude such a one nothing is named, and `words` say it.
Without judgements a random order is never named: no relation to the first stage is all that can be seen of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from stages.analysis.orders import Orders, Pairs
from stages.core.words import percent, share
from stages.quality.interval import Interval, mean_interval
from stages.quality.significance import minimum_detectable

EACH = 0.001
LEVEL = 5 * EACH
"""Of all together: the chance, at most, that a reranker which does something is named."""

ALMOST_ALL = 0.99
TURNS = 0.1
MODEST = 0.6
TAU_OF_NONE = 0.1
MIN_LISTS = 20
"""Fewer have no interval here: their spread is not known."""
MIN_TIES = 10
"""So many neighbours with one score are no accident."""

Name = Literal["constant", "first_stage", "reversed", "random"]


@dataclass(frozen=True, slots=True)
class Mean:
    """Over so many lists, with its interval at 1 - 2 * EACH; None for fewer than MIN_LISTS."""

    lists: int
    mean: float
    interval: Interval

    def __str__(self) -> str:
        return f"{self.mean:.2f}, {self.interval.low:.2f} to {self.interval.high:.2f}"


@dataclass(frozen=True, slots=True)
class Uselessness:
    """`name` is None where nothing is named; `words`, without a full stop, then say what cannot be told, if anything.

    `tau`, `concordance` and `above_random` are the means of what `Orders` counts, None where they cannot be had.
    `shows_from` is the concordance that these judged queries would tell from a random order's.
    """

    name: Name | None
    words: str | None
    level: float
    lists: int
    one_score_lists: int
    tau: Mean | None
    concordance: Mean | None
    above_random: Mean | None
    shows_from: float | None


def useless(orders: Orders) -> Uselessness:
    """What the evidence amounts to."""
    tau, concordance, above = map(_mean, (orders.taus, orders.concordances, orders.above_random))
    name, words = _named(orders, tau, concordance, above) or (None, _not_known(orders, tau, concordance, above))
    return Uselessness(
        name=name,
        words=words,
        level=LEVEL,
        lists=orders.lists,
        one_score_lists=orders.one_score,
        tau=tau,
        concordance=concordance,
        above_random=above,
        shows_from=_shows_from(orders.concordances) if concordance else None,
    )


def _mean(values: Sequence[float]) -> Mean | None:
    numbers = np.array(values)
    if len(numbers) < MIN_LISTS:
        return None
    same = np.ptp(numbers) == 0
    mean = float(numbers.mean())
    return Mean(len(numbers), mean, Interval(mean, mean) if same else mean_interval(numbers, 1 - 2 * EACH))


def _shows_from(concordances: Sequence[float]) -> float | None:
    numbers = np.array(concordances)
    smallest = minimum_detectable(float(numbers.std(ddof=1)), len(numbers), 2 * EACH)
    return None if smallest is None else min(0.5 + smallest, 1.0)


def _named(orders: Orders, tau: Mean | None, concordance: Mean | None, above: Mean | None) -> tuple[Name, str] | None:
    """The plainest first: an order by id has no other fault to look for."""
    return _by_scores(orders) or _by_judgements(concordance, above) or _by_intervals(orders, tau, concordance, above)


def _by_scores(orders: Orders) -> tuple[Name, str] | None:
    """What shows in the scores alone."""
    if orders.lists and orders.one_score >= ALMOST_ALL * orders.lists and orders.same_neighbours >= MIN_TIES:
        return "constant", (
            f"the scores are constant: in {orders.one_score:,} of {orders.lists:,} lists all documents have the same "
            "one, so that their order is by id, or by rounding"
        )
    if _keeps(orders.pairs, orders.neighbours):
        return "first_stage", f"the order is the first stage's: {_pairs(orders.pairs.kept, orders)} stand as before"
    if _keeps(_turned(orders.pairs), _turned(orders.neighbours)):
        return "reversed", (
            f"the order is the first stage's, reversed: {_pairs(orders.pairs.turned, orders)} stand the other way "
            "round. The sign of the scores may be turned"
        )
    return None


def _by_judgements(concordance: Mean | None, above: Mean | None) -> tuple[Name, str] | None:
    """Worse than chance."""
    if concordance and above and concordance.interval.high < 0.5 and above.mean < 0:
        return "reversed", (
            f"the order is reversed, worse than a random one: {_concordance(concordance)}. The sign of the scores may "
            "be turned"
        )
    return None


def _by_intervals(
    orders: Orders, tau: Mean | None, concordance: Mean | None, above: Mean | None
) -> tuple[Name, str] | None:
    """What neither shows plainly."""
    if tau and tau.interval.high < -TAU_OF_NONE and not (concordance and concordance.interval.low > 0.5):
        return "reversed", (
            f"the order runs against the first stage's (Kendall's tau {tau}), as one with the sign of its scores "
            "turned does"
        )
    alike = tau is None or _within(tau, 0, TAU_OF_NONE)
    if (
        concordance
        and _within(concordance, 0.5, MODEST - 0.5)
        and alike
        and _looks_random(orders, tau, concordance, above)
    ):
        beside = f", and none to the first stage (Kendall's tau {tau})" if tau else ""
        told = "the order looks random: it has no relation to the judgements"
        return "random", f"{told}, as {_concordance(concordance)}{beside}"
    return None


def _keeps(pairs: Pairs, neighbours: Pairs) -> bool:
    """Whether almost all stand as before, which is no accident of a few short lists."""
    known = sum(neighbours)
    if not known or pairs.kept < ALMOST_ALL * sum(pairs):
        return False
    return float(special.bdtrc(neighbours.kept - 1, known, 1 - TURNS)) <= EACH


def _turned(pairs: Pairs) -> Pairs:
    return Pairs(pairs.turned, pairs.kept)


def _looks_random(orders: Orders, tau: Mean | None, concordance: Mean | None, above: Mean | None) -> bool:
    """Nothing was found; which may be for want of queries."""
    if not (concordance and above and _holds(concordance, 0.5) and _holds(above, 0)):
        return False
    return not orders.has_first_stage or (tau is not None and _holds(tau, 0))


def _unrelated(tau: Mean | None) -> bool:
    return tau is not None and _holds(tau, 0) and _within(tau, 0, TAU_OF_NONE)


def _not_known(orders: Orders, tau: Mean | None, concordance: Mean | None, above: Mean | None) -> str | None:
    """What looks like a random order and is not named one."""
    if concordance and _looks_random(orders, tau, concordance, above):
        smallest = _shows_from(orders.concordances)
        shown = "" if smallest is None else f", which probably show {share(smallest, 0)} or more"
        return (
            f"the order cannot be told from a random one, as {_concordance(concordance)}; nor is it named one, as a "
            f"modest reranker may look so over {concordance.lists:,} judged lists{shown}"
        )
    if tau and not concordance and _unrelated(tau):
        return (
            f"the order has no relation to the first stage's (Kendall's tau {tau}): a random one has none, and neither "
            f"has one by something else. {MIN_LISTS} judged queries or more would begin to tell which"
        )
    return None


def _holds(mean: Mean, value: float) -> bool:
    return mean.interval.low <= value <= mean.interval.high


def _within(mean: Mean, value: float, reach: float) -> bool:
    return mean.interval.low > value - reach and mean.interval.high < value + reach


def _pairs(number: int, orders: Orders) -> str:
    return f"{share(number / sum(orders.pairs), 1)} of {sum(orders.pairs):,} pairs of candidates with different scores"


def _concordance(one: Mean) -> str:
    low, high = one.interval
    return (
        f"a relevant document stands above another one in {share(one.mean)} of cases ({share(low)} to {share(high)} at "
        f"{percent(1 - 2 * EACH)}), in a random order in 50 %"
    )
