"""What a reader must know to judge the figures of a load test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pipelines.service.load.client import MOST_OUTSTANDING
from pipelines.service.load.steps import UNFINISHED
from stages.telemetry.load import LoadStep

BUSY_CLIENT = 0.8
"""From this share of a core on the client delays what it measures."""
LATE = 0.1
"""A client that sends later than this share of the latency is a part of what it measures."""


def notes(steps: Sequence[LoadStep]) -> Iterator[str]:
    """Sentences, of each kind one, about the first step that it is true of."""
    if all(step.prompt_tokens is None for step in steps if step.answered):
        yield "The service does not tell how many tokens it read: how long a pair was is a guess."
    for note in (_busy, _late, _held_back):
        yield from list(filter(None, map(note, steps)))[:1]
    if unfinished := sum(step.errors.get(UNFINISHED, 0) for step in steps):
        yield f"{unfinished:,} requests were not answered in the time after a step's end, and count as failed."


def _busy(step: LoadStep) -> str | None:
    if (step.client_share or 0.0) <= BUSY_CLIENT:
        return None
    return (
        f"With {step.level_words} the client itself took {step.client_share:.0%} of a core: from there on it measures "
        "its own delay too. Put the load from several machines, or in larger requests."
    )


def _late(step: LoadStep) -> str | None:
    if step.late_ms is None or step.latency is None or step.late_ms <= LATE * step.latency.p50_ms:
        return None
    return (
        f"With {step.level_words} the client sent its requests {step.late_ms:.3g} ms late on average, for want of "
        "processor time; that is part of the latencies. Put the load from a machine that is not busy."
    )


def _held_back(step: LoadStep) -> str | None:
    if not step.held_back:
        return None
    return (
        f"With {step.level_words} {MOST_OUTSTANDING} requests were outstanding, the most that the client holds: "
        f"{step.held_back:,} more waited in it, and their wait counts as latency."
    )
