"""Is a run worse than it may be? One check a rule, each with one of three rulings and the sentence that says why.

A drop in quality is judged by the confidence interval of the per-query differences, as a test of non-inferiority with
the allowed drop as its margin (Piaggio et al., Reporting of noninferiority and equivalence randomized trials, JAMA 308,
2012): an interval wholly on the good side of the margin passes, one wholly beyond it is a regression, and one that
holds the margin cannot tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from stages.quality.resampling import Interval
from stages.quality.significance import TIE, Difference


class Ruling(StrEnum):
    """From best to worst: the worst of its checks is a gate's own."""

    PASSED = "passed"
    CANNOT_TELL = "cannot tell"
    REGRESSED = "regressed"


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of a gate and what came of it."""

    name: str
    outcome: Ruling
    words: str


def worst(checks: Iterable[Check]) -> Ruling:
    """A regression outweighs what cannot be told, and that what passed. PASSED where there is no check."""
    order = list(Ruling)
    return max((check.outcome for check in checks), key=order.index, default=Ruling.PASSED)


def check_drop(metric: str, difference: Difference, allowed: float) -> Check:
    """Whether `metric` fell by more than `allowed` (in its unit, 0 or more) from the baseline."""
    interval = _interval(difference)
    told = f"{metric} {_moved(difference)}"
    if interval is None:
        return Check(metric, Ruling.CANNOT_TELL, f"{told} over {difference.n} query: too few to say how sure that is")
    told += f" ({100 * difference.confidence:g} % interval {interval.low:+.4f} to {interval.high:+.4f})"
    if interval.low >= -allowed - TIE:
        return Check(metric, Ruling.PASSED, f"{told}; a drop of {allowed:g} is allowed")
    if interval.high < -allowed - TIE:
        return Check(metric, Ruling.REGRESSED, f"{told}, more than the {allowed:g} that is allowed")
    return Check(metric, Ruling.CANNOT_TELL, f"{told}: {_too_wide(difference, interval, allowed)}")


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


def _moved(difference: Difference) -> str:
    if abs(difference.difference) < TIE:
        return "did not move"
    return f"{'rose' if difference.difference > 0 else 'fell'} by {abs(difference.difference):.4f}"


def _too_wide(difference: Difference, interval: Interval, allowed: float) -> str:
    """How many queries would tell: an interval's width falls with the square root of their number."""
    room = abs(difference.difference + allowed)
    reach = max(interval.high - difference.difference, difference.difference - interval.low)
    told = f"that may be more than the {allowed:g} that is allowed, or less"
    if room < TIE:
        return told
    needed = math.ceil(difference.n * (reach / room) ** 2)
    return f"{told}; about {_round_up(needed):,} queries like these {difference.n:,} would tell"


def _round_up(number: int) -> int:
    """To two digits: more would feign precision."""
    step = int(10 ** max(len(str(number)) - 2, 0))
    return -(-number // step) * step
