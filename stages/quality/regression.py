"""Is a run worse than it may be? One check a rule, each with one of three rulings and the sentence that says why.

A drop in quality is judged by the confidence interval of the per-query differences, as a test of non-inferiority with
the allowed drop as its margin (Piaggio et al., Reporting of noninferiority and equivalence randomized trials, JAMA 308,
2012): an interval wholly on the good side of the margin passes, one wholly beyond it is a regression, and one that
holds the margin cannot tell. Of few queries no interval keeps its promise (docs/compare.md has how often each decision
is wrong), so below a minimum nothing is told of them but that the lists are the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from stages.core.words import percent
from stages.quality.interval import Interval
from stages.quality.significance import TIE, Difference

MIN_QUERIES = 20
"""Fewer queries cannot tell a drop, unless the user says otherwise."""


class Ruling(StrEnum):
    """From best to worst: the worst of its checks is a gate's own."""

    PASSED = "passed"
    CANNOT_TELL = "cannot tell"
    REGRESSED = "regressed"


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of a gate and what came of it. `interval` is what decided on a drop, None for any other rule. `doubt` is
    the end of the words where what nobody judged could have it otherwise.
    """

    name: str
    outcome: Ruling
    words: str
    interval: Interval | None = None
    doubt: str = ""


def worst(checks: Iterable[Check]) -> Ruling:
    """A regression outweighs what cannot be told, and that what passed. PASSED where there is no check."""
    order = list(Ruling)
    return max((check.outcome for check in checks), key=order.index, default=Ruling.PASSED)


def check_drop(
    name: str, difference: Difference, allowed: float, *, min_queries: int = MIN_QUERIES, same_lists: bool = False
) -> Check:
    """Whether a metric fell by more than `allowed` (in its unit, 0 or more) from the baseline.

    The decision is made by `difference.interval`, at the confidence that it was computed with: each of its ends is
    wrong in half of what is left, so at 95 % a run whose drop is just what is allowed is called a regression, and one
    whose drop is just more passes, in about 2.5 % of nights each. `same_lists`: both runs ranked the same documents in
    the same order for every query; then there is no drop, however few they are.
    """
    told = f"{name} {_moved(difference)}"
    if same_lists and difference.ties == difference.n:
        return Check(name, Ruling.PASSED, f"{told}: every list is the baseline's", Interval(0.0, 0.0))
    interval = _interval(difference)
    if interval is None or difference.n < min_queries:
        return Check(name, Ruling.CANNOT_TELL, f"{told} over {_too_few(difference.n, min_queries)}", interval)
    told += f" ({percent(difference.confidence)} interval {interval.low:+.4f} to {interval.high:+.4f})"
    if interval.low >= -allowed - TIE:
        return Check(name, Ruling.PASSED, f"{told}; a drop of {allowed:g} is allowed", interval)
    if interval.high < -allowed - TIE:
        return Check(name, Ruling.REGRESSED, f"{told}, more than the {allowed:g} that is allowed", interval)
    return Check(name, Ruling.CANNOT_TELL, f"{told}: {_too_wide(difference, interval, allowed)}", interval)


def check_limit(
    name: str, value: float | None, *, most: float | None = None, least: float | None = None, reason: str = ""
) -> Check:
    """Whether `value` lies within its limits; one that was not measured (None) cannot be told.

    `reason` says where the limits come from.
    """
    if value is None:
        return Check(name, Ruling.CANNOT_TELL, f"{name} was not measured in this run")
    because = f" ({reason})" if reason else ""
    if most is not None and value > most + TIE:
        return Check(name, Ruling.REGRESSED, f"{name} is {value:g}, over the limit of {most:g}{because}")
    if least is not None and value < least - TIE:
        return Check(name, Ruling.REGRESSED, f"{name} is {value:g}, under the limit of {least:g}{because}")
    limits = [f"at most {most:g}" for _ in [0] if most is not None]
    limits += [f"at least {least:g}" for _ in [0] if least is not None]
    return Check(name, Ruling.PASSED, f"{name} is {value:g}; {' and '.join(limits)} is allowed{because}")


def _interval(difference: Difference) -> Interval | None:
    """Where all queries changed alike there is no spread, and nothing is unsure."""
    if difference.interval is None and difference.n > 1:
        return Interval(difference.difference, difference.difference)
    return difference.interval


def _too_few(n: int, min_queries: int) -> str:
    queries = "1 query" if n == 1 else f"{n} queries"
    return f"{queries}: too few to say how sure that is (gate.min_queries is {min_queries})"


def _moved(difference: Difference) -> str:
    if abs(difference.difference) < TIE:
        return "did not move"
    return f"{'rose' if difference.difference > 0 else 'fell'} by {abs(difference.difference):.4f}"


def _too_wide(difference: Difference, interval: Interval, allowed: float) -> str:
    """How many queries would tell: an interval's width falls with the square root of their number."""
    room = abs(difference.difference + allowed)
    fell = difference.difference < -allowed
    reach = interval.high - difference.difference if fell else difference.difference - interval.low
    told = f"that may be more than the {allowed:g} that is allowed, or less"
    if room < TIE:
        return told
    needed = math.ceil(difference.n * (reach / room) ** 2)
    return f"{told}; about {_round_up(needed):,} queries like these {difference.n:,} would tell"


def _round_up(number: int) -> int:
    """To two digits: more would feign precision."""
    step = int(10 ** max(len(str(number)) - 2, 0))
    return -(-number // step) * step
