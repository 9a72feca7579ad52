"""Findings -> one sentence: the bottleneck, its evidence, and what to change next with the effect to expect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stages.diagnosis.finding import Finding, Weight
from stages.diagnosis.requests import as_yaml

# Of findings that weigh the same, causes stand before what they bring about: a queue is long because something is slow.
CAUSES_FIRST = (
    "no_replica",
    "scores_differ",
    "generating",
    "failures",
    "memory_pressure",
    "slow_disk",
    "processor_taken",
    "processor_throttled",
    "one_thread",
    "engine_one_core",
    "gpu_starved",
    "gpu_waits_for_io",
    "kv_thrashing",
    "configuration",
    "gpu_full",
    "processor_full",
    "queue",
    "overload",
    "fails_under_load",
    "prefix_unused",
    "prefix_missed",
    "connections",
    "steal",
)


# What a service that is set up well runs into at last.
FULL = ("processor_full", "gpu_full")


@dataclass(frozen=True, slots=True)
class Conclusion:
    """`bottleneck` is None for a healthy service; `sentence` says it all in one."""

    bottleneck: Finding | None
    sentence: str


def conclude(findings: Sequence[Finding]) -> Conclusion:
    """The heaviest finding decides; of equal ones the cause, then the first."""
    heavy = [one for one in findings if one.weight > Weight.NOTE]
    if not heavy:
        well = [one.words.rstrip(".") for one in findings if one.weight == Weight.FINE][:3]
        reasons = f": {'; '.join(well)}" if well else ""
        first = next((one for one in findings if one.kind in FULL), None)
        limit = f" Under more load this comes first: {first.words.rstrip('.')}." if first else ""
        return Conclusion(None, f"The service is healthy{reasons}.{limit}")
    first = min(heavy, key=lambda one: (-one.weight, _rank(one), findings.index(one)))
    return Conclusion(first, f"{NAMES[first.weight]}: {first.words.rstrip('.')}{_next(first)}.")


NAMES = {
    Weight.BROKEN: "Something is broken, and comes before speed",
    Weight.LIMIT: "The bottleneck",
    Weight.COST: "Nothing limits the service, but something costs",
}


def _rank(finding: Finding) -> int:
    return CAUSES_FIRST.index(finding.kind) if finding.kind in CAUSES_FIRST else len(CAUSES_FIRST)


def _next(finding: Finding) -> str:
    """A setting is told with its value now and the one to try."""
    if (advice := finding.advice) is None:
        return ""
    change = ""
    if advice.setting is not None and advice.value is not None:
        now = "" if advice.now is None else f"{as_yaml(advice.now)} → "
        change = f" ({advice.setting}: {now}{as_yaml(advice.value)})"
    return f". Next: {advice.action}{change}; expect: {advice.effect}"
