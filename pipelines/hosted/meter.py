"""What asking a hosted model took: requests, their latency, billed units and money; and the budget that ends it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pipelines.base.paid_sections import HostedSettings
from pipelines.hosted.shapes import DOCUMENTS_PER_SEARCH_UNIT, Shape
from stages.core.errors import ConfigError, RerankEvalError
from stages.telemetry.latencies import Latencies

# Of English in common tokenizers. A guess: what an API bills is only in its answer.
CHARS_PER_TOKEN = 4
# A budget for exactly so many requests holds them all: 0.001 thirty times is a little more than 0.03 to a computer.
ROUNDING = 1e-9


class BudgetSpentError(RerankEvalError):
    """The run may send nothing more; what was scored is kept."""


def foreseen_units(shape: Shape, query: str, documents: Sequence[str]) -> float:
    """What a request will be billed, as far as that can be known before: tokens are guessed from characters."""
    if shape.unit == "search_units":
        return math.ceil(len(documents) / DOCUMENTS_PER_SEARCH_UNIT)
    return math.ceil((len(query) * len(documents) + sum(map(len, documents))) / CHARS_PER_TOKEN)


def check_prices(shape: Shape, api: str, settings: HostedSettings) -> None:
    """Raises ConfigError for a price of what this API does not bill: the cost would be told as 0."""
    other = "price_per_million_tokens" if shape.unit == "search_units" else "price_per_1000_search_units"
    if getattr(settings, other) is not None:
        raise ConfigError(f"hosted.{other}: {api}'s API bills {shape.unit.replace('_', ' ')}. Set their price instead")
    if settings.price_per_million_generated_tokens is not None:
        raise ConfigError("hosted.price_per_million_generated_tokens: a reranker generates none. Remove it")


class Meter:
    """Counts over one run. `sent` are all requests, tries of the same one counted; latency is that of the answered."""

    def __init__(self, shape: Shape, settings: HostedSettings) -> None:
        self.shape, self.settings = shape, settings
        self.sent = self.answered = self.guessed = 0
        self.units = self.cost = 0.0
        self.again: Counter[str] = Counter()
        self._reserved = 0.0
        self._latencies = Latencies()

    def price(self, units: float, requests: int = 1) -> float:
        """Of answered requests that were billed so many units; 0 where there is no price."""
        settings = self.settings
        each = settings.price_per_1000_search_units, 1000.0
        if self.shape.unit == "tokens":
            each = settings.price_per_million_tokens, 1_000_000.0
        return requests * (settings.price_per_1000_requests or 0.0) / 1000 + units * (each[0] or 0.0) / each[1]

    def begin(self, foreseen: float) -> None:
        """A request that leaves now. Raises BudgetSpentError where it may not."""
        settings, price = self.settings, self.price(foreseen)
        if settings.max_requests is not None and self.sent >= settings.max_requests:
            raise BudgetSpentError(f"hosted.max_requests {settings.max_requests:,} are sent")
        if settings.max_cost is not None and self.cost + self._reserved + price > settings.max_cost * (1 + ROUNDING):
            raise BudgetSpentError(
                f"hosted.max_cost {settings.max_cost:g} does not hold the next request: {self.cost:g} is spent, "
                f"{self._reserved:g} under way"
            )
        self.sent += 1
        self._reserved += price

    def end(self, foreseen: float) -> None:
        """A request that began is over, answered or not."""
        self._reserved -= self.price(foreseen)

    def answer(self, seconds: float, units: float | None, foreseen: float) -> None:
        """A request was answered, in so long; `units` are those billed, None where the answer does not say."""
        self.answered += 1
        self.guessed += units is None
        billed = foreseen if units is None else units
        self.units += billed
        self.cost += self.price(billed)
        self._latencies.observe(seconds)

    def told(self) -> dict[str, Any]:
        """As metrics.json has it."""
        return {
            "requests": self.sent,
            "answered_requests": self.answered,
            "retried": dict(sorted(self.again.items())),
            "latency_ms": self._latencies.told_ms(),
            "billed_unit": self.shape.unit,
            "billed_units": self.units if self.answered else None,
            "guessed_bills": self.guessed,
            "cost": self.cost if self.settings.priced else None,
        }
