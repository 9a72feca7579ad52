"""The end of a plan: the change with its interval, and whether what was planned was kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.judging.folder import Plan
from stages.core.words import counted, percent
from stages.judging.number import LEAST, LEAST_CHANGED
from stages.judging.pool import is_bounded
from stages.judging.precision import About, Estimate, Stratum, estimate
from stages.quality.significance import TIE


@dataclass(frozen=True, slots=True)
class Verdict:
    """`change`, `low` and `high` are in the metric's unit, None where nothing can be told. `bounds` holds the interval
    where skipped queries changed as much as they could. `broken` says what of the plan was not kept. `source` says
    whose judgements these are.
    """

    metric: str
    before: str
    after: str
    change: float | None
    low: float | None
    high: float | None
    reach: float | None
    width: float
    confidence: float
    about: str
    number: int
    skipped: int
    population: int
    unchanged: int
    bounds: tuple[float, float] | None
    words: str
    broken: tuple[str, ...]
    source: str = "people"


def verdict_of(
    plan: Plan, number: int, skipped: int, values: Mapping[int, float], strata: Sequence[Stratum]
) -> Verdict:
    """Of all `number` queries, `values` are the changes of those that were judged."""
    found = estimate(strata, plan.about, plan.confidence)
    bounds = _bounds(plan, number, skipped, found)
    return Verdict(
        metric=plan.metric,
        before=plan.before,
        after=plan.after,
        change=None if found is None else found.mean,
        low=None if found is None else found.interval.low,
        high=None if found is None else found.interval.high,
        reach=None if found is None else found.reach,
        width=plan.width,
        confidence=plan.confidence,
        about=plan.about.value,
        number=number,
        skipped=skipped,
        population=plan.population,
        unchanged=plan.unchanged,
        bounds=bounds,
        words=_words(plan, found),
        broken=tuple(_broken(plan, number, skipped, values, found, bounds)),
    )


def _words(plan: Plan, found: Estimate | None) -> str:
    if found is None:
        return f"{plan.metric} changed for too few judged queries to tell a spread: there is no interval"
    low, high = found.interval
    moves = "rises" if found.mean > 0 else "falls" if found.mean < 0 else "does not change"
    told = f"{plan.metric} {moves}" + (f" by {abs(found.mean):.4f}" if found.mean else "")
    told += f" from {plan.before} to {plan.after}"
    if low == high:
        return f"{told}: exactly so, as every one of these queries is judged"
    whom = "these queries" if plan.about is About.THESE else "queries like these"
    told += f" ({percent(plan.confidence)} interval {low:.3f} to {high:.3f}, of {whom})"
    if low <= 0 <= high:
        return f"{told}: it cannot be told from no change"
    return f"{told}: statistically significant at the {percent(1 - plan.confidence)} level"


def _bounds(plan: Plan, number: int, skipped: int, found: Estimate | None) -> tuple[float, float] | None:
    """Skipped queries stand for as large a share of those that can change as they are of those drawn."""
    if not skipped or found is None or not is_bounded(plan.metric):
        return None
    share = skipped / number * (1 - plan.unchanged / plan.population)
    low, high = found.interval
    return max(-1.0, (1 - share) * low - share), min(1.0, (1 - share) * high + share)


def _broken(
    plan: Plan,
    number: int,
    skipped: int,
    values: Mapping[int, float],
    found: Estimate | None,
    bounds: tuple[float, float] | None,
) -> list[str]:
    told = []
    if skipped:
        told.append(
            f"{counted(skipped, 'query was', 'queries were')} skipped of {number:,}: the interval speaks of those that "
            "can be judged"
            + (
                f"; had they changed as much as they could, it would be {bounds[0]:.3f} to {bounds[1]:.3f}"
                if bounds
                else ""
            )
        )
    if found is not None and found.reach > plan.width:
        told.append(
            f"+-{plan.width:g} was asked for and "
            f"+-{found.reach:.4f} is what {counted(number, 'query', 'queries')} give: "
            "there are no more to draw"
        )
    changed = sum(abs(change) >= TIE for change in values.values())
    exact = found is not None and found.reach == 0
    if not exact and len(values) < LEAST:
        told.append(f"only {counted(len(values), 'query is', 'queries are')} judged: below {LEAST} none is sure")
    if not exact and changed < LEAST_CHANGED:
        told.append(f"only {counted(changed, 'judged query', 'judged queries')} changed: such an interval is not sure")
    return told
