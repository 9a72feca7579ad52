"""The sections of a run config that are about what is paid: engines by the hour, and models that others host."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from serve_app.base_settings import Settings


class HostedSettings(Settings):
    """How a hosted model (`model.api`) is asked, and what it costs."""

    batch_documents: int = Field(
        100, gt=0, description="Documents in a request at most; what an API is known to take may be less."
    )
    concurrency: int | None = Field(
        None,
        gt=0,
        description="Requests at once. null: 8, and with requests_per_minute as many as that rate needs at the latency "
        "that is seen, up to max_concurrency.",
    )
    max_concurrency: int = Field(64, gt=0, description="Requests at once at most, where concurrency is null.")
    requests_per_minute: float | None = Field(None, gt=0, description="Requests a minute at most. null: no limit.")
    timeout_s: float = Field(60, gt=0, description="How long an answer may take.")
    retry_for_s: float = Field(
        300, ge=0, description="How long a request is tried again after 429, 5xx, time-outs and broken connections."
    )
    max_requests: int | None = Field(
        None,
        gt=0,
        description="The run stops before it sends more requests, tries of the same one counted. null: none.",
    )
    max_cost: float | None = Field(
        None, gt=0, description="The run stops before it spends more, in the currency of the price. null: no limit."
    )
    price_per_1000_requests: float | None = Field(None, ge=0, description="Price of 1,000 requests that are answered.")
    price_per_1000_search_units: float | None = Field(
        None, ge=0, description="Price of 1,000 of Cohere's search units."
    )
    price_per_million_tokens: float | None = Field(
        None, ge=0, description="Price of a million billed tokens; of a judge, of its prompts."
    )
    price_per_million_generated_tokens: float | None = Field(
        None, ge=0, description="Of a judge: price of a million tokens that it generates. null: that of its prompts."
    )
    recheck_pairs: int = Field(
        10, ge=0, description="Stored pairs that each run asks for again, to tell whether their scores moved."
    )

    @property
    def priced(self) -> bool:
        return any(price is not None for price in self._prices)

    @property
    def _prices(self) -> tuple[float | None, ...]:
        return (
            self.price_per_1000_requests,
            self.price_per_1000_search_units,
            self.price_per_million_tokens,
            self.price_per_million_generated_tokens,
        )

    @model_validator(mode="after")
    def _has_a_price(self) -> Self:
        if self.max_cost is not None and not any(self._prices):
            raise ValueError(
                "max_cost needs a price that is not 0: set price_per_1000_requests, ..._search_units or ..._tokens"
            )
        return self

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        """What does nothing would be taken for something that does."""
        if self.max_concurrency != type(self).model_fields["max_concurrency"].default and (
            self.concurrency is not None or self.requests_per_minute is None
        ):
            raise ValueError(
                "max_concurrency is for requests_per_minute without concurrency: set these so, or leave it out"
            )
        return self


class CostSettings(Settings):
    """What the engines cost, to tell the price of a gain."""

    per_hour: float | None = Field(
        None, gt=0, description="Price of one replica for an hour, in your currency. null: no money is told."
    )
