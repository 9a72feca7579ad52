"""What a load test measured: its steps, the knee of their curve, and when a service counts as saturated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["closed", "open"]

LEAST_GROWTH = 0.10
"""Twice the load must bring so much more throughput, or the service is saturated."""
MOST_ERRORS = 0.05
"""A larger share of failed requests is more than the service bears."""
LEAST_KEPT_UP = 0.80
"""Open loop: a service that answers less of what is offered does not keep up. Below 1, since a step has an end."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Of the answered requests alone (ms)."""

    mean_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class LoadStep:
    """One level of load, held for a while. `level` counts clients (closed) or requests offered per second (open).

    `seconds` is what throughput is measured over: in the closed loop from the first request to the last answer, in the
    open loop the step's length, or the time from the first answer to the last one where that is longer, as it is when
    a queue is left at the end. So a saturated service is told at its true rate; one that is not, and takes a good part
    of the step for a request, at up to half a request per client too little.

    `answered` and `documents` (the pairs in them) count what was answered with HTTP 200, also after the last request
    was sent; `errors` counts the others by kind. `prompt_tokens` is None where the service does not tell.
    `client_share` is the share of one core that the client took: near 1 the client, not the service, was the limit.
    Open loop alone: `held_back` counts arrivals that waited in the client, as too many were outstanding; the others
    were sent `late_ms` after they were due, on average: the client's own delay, which is part of the latencies.
    """

    mode: Mode
    level: float
    seconds: float
    answered: int
    documents: int
    prompt_tokens: int | None
    errors: Mapping[str, int]
    latency: Latency | None
    client_share: float | None = None
    held_back: int = 0
    late_ms: float | None = None

    @property
    def requests_per_s(self) -> float:
        return self.answered / self.seconds

    @property
    def pairs_per_s(self) -> float:
        return self.documents / self.seconds

    @property
    def prompt_tokens_per_s(self) -> float | None:
        return None if self.prompt_tokens is None else self.prompt_tokens / self.seconds

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def error_share(self) -> float:
        """0 to 1; 0 where nothing was sent."""
        sent = self.answered + self.failed
        return self.failed / sent if sent else 0.0

    @property
    def level_words(self) -> str:
        if self.mode == "open":
            return f"{self.level:,.6g} requests/s offered"
        return f"{self.level:,.0f} client{'' if self.level == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class LoadResult:
    """A whole load test. `payload` says in a sentence what was sent, `ended` why it stopped (both without a full stop).

    `knee` is the index of the step with the most power; `started` an ISO time with its zone; `notes` are sentences.
    """

    url: str
    model: str | None
    payload: str
    mode: Mode
    steps: tuple[LoadStep, ...]
    knee: int | None
    saturated: bool
    ended: str
    started: str
    notes: tuple[str, ...] = field(default=())

    @property
    def tokens_per_pair(self) -> float | None:
        """What the service read for a pair, over all steps; None where it does not tell."""
        told = [step for step in self.steps if step.prompt_tokens is not None]
        documents = sum(step.documents for step in told)
        return sum(step.prompt_tokens or 0 for step in told) / documents if documents else None

    @property
    def knee_step(self) -> LoadStep | None:
        return None if self.knee is None else self.steps[self.knee]


def power(step: LoadStep) -> float | None:
    """Throughput divided by mean latency (pairs/s per second).

    Kleinrock, "Power and deterministic rules of thumb for probabilistic problems in computer communications", ICC
    1979. None where nothing was answered, or more failed than the service may refuse: such a step is no place to work.
    """
    if step.latency is None or step.error_share > MOST_ERRORS:
        return None
    return step.pairs_per_s / max(step.latency.mean_ms / 1000, 1e-6)


def knee(steps: Sequence[LoadStep]) -> int | None:
    """The index of the step with the largest power, of equal ones the first; None where no step has any.

    Below it more load brings more throughput than delay, above it more delay than throughput. For an M/M/1 queue it
    lies at half of the capacity.
    """
    powers = [(value, -index) for index, step in enumerate(steps) if (value := power(step)) is not None]
    return -max(powers)[1] if powers else None


def saturation(steps: Sequence[LoadStep]) -> str | None:
    """Why the last step shows that the service bears no more, in words; None where it does not show that."""
    last = steps[-1]
    if last.error_share > MOST_ERRORS:
        worst = max(last.errors, key=lambda kind: last.errors[kind])
        return f"{last.error_share:.0%} of the requests failed with {last.level_words}, most with: {worst}"
    if last.mode == "open" and last.requests_per_s < LEAST_KEPT_UP * last.level:
        return f"the service answers {last.requests_per_s:.3g} requests/s where {last.level:,.6g} are offered"
    if len(steps) > 1 and (before := steps[-2]).pairs_per_s > 0:
        growth = last.pairs_per_s / before.pairs_per_s - 1
        if growth < LEAST_GROWTH:
            change = "no more" if growth <= 0 else f"{growth:.0%} more"
            return f"{last.level_words} bring {change} throughput than {before.level_words}"
    return None
