"""What asking a hosted model will take, before anybody is asked: pairs, requests, and tokens and money as a guess."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.base.config import RunConfig
from pipelines.hosted.endpoint import endpoint_of, identity_of
from pipelines.hosted.meter import CHARS_PER_TOKEN, Meter, foreseen_units
from pipelines.job.workload import KnownScores
from stages.core.records import Candidates
from stages.core.words import count, counted, number

DAY_S = 24 * 60 * 60
BESIDE = " " * 12


class HostedForecaster:
    """Sees every candidate of a job, then tells. Sends nothing."""

    def __init__(self, config: RunConfig) -> None:
        self.endpoint = endpoint_of(config.model, keyless=True)
        self._settings = config.hosted
        self._meter = Meter(self.endpoint.shape, config.hosted)
        foreseen = identity_of(self.endpoint, config.model.instruction, {})
        self._known = KnownScores(config, foreseen, since_s=oldest_used_s(config))
        self.pairs = self.new = self.requests = 0
        self.chars, self.units = 0, 0.0

    def add(self, candidates: Candidates) -> None:
        new = self._known.new(candidates)
        self.pairs += len(candidates.texts)
        self.new += len(new)
        most = min(self._settings.batch_documents, self.endpoint.shape.most_documents or len(new) or 1)
        for start in range(0, len(new), most):
            part = new[start : start + most]
            self.requests += 1
            self.units += foreseen_units(self.endpoint.shape, candidates.query, part)
            self.chars += len(candidates.query) * len(part) + sum(map(len, part))

    def tell(self) -> dict[str, Any]:
        """As JSON, with the keys of every forecast; what cannot be known is null."""
        self._known.close()
        per_minute = self._settings.requests_per_minute
        return {
            "pairs": self.pairs,
            "stored_pairs": self.pairs - self.new,
            "new_pairs": self.new,
            "texts": None,
            "tokens": None,
            **dict.fromkeys(("scoring_s", "start_s", "pairs_per_s", "measured", "gpu", "per_hour")),
            "money": self._meter.price(self.units, self.requests) if self._settings.priced else None,
            "money_with_start": None,
            "remarks": [self._known.note] if self._known.note else [],
            "hosted": {
                "sent_to": self.endpoint.url,
                "requests": self.requests,
                "about_tokens": math.ceil(self.chars / CHARS_PER_TOKEN),
                "unit": self.endpoint.shape.unit,
                "units": self.units,
                "least_s": 60 * self.requests / per_minute if per_minute else None,
            },
        }


def hosted_lines(forecast: Mapping[str, Any]) -> Iterator[str]:
    """As `run --dry-run` prints it."""
    hosted = forecast["hosted"]
    yield (
        f"forecast    {counted(forecast['pairs'], 'pair')}, of which {count(forecast['stored_pairs'])} stored; "
        f"{counted(hosted['requests'], 'request')}, if each is answered at once"
    )
    yield (
        f"{BESIDE}about {count(hosted['about_tokens'])} tokens: a guess, {CHARS_PER_TOKEN} characters each; the API "
        "counts and cuts by itself"
    )
    if hosted["unit"] == "search_units":
        yield f"{BESIDE}{count(int(hosted['units']))} search units; what long documents add is not documented"
    if hosted["least_s"] is not None:
        yield f"{BESIDE}at least {number(hosted['least_s'], ' s')}, as hosted.requests_per_minute allows"
    if forecast["money"] is None:
        yield f"{BESIDE}money is not told: set a price under hosted"
    else:
        yield f"{BESIDE}about {number(forecast['money'])} at the prices under hosted"
    for remark in forecast["remarks"]:
        yield f"note        {remark}"


def oldest_used_s(config: RunConfig) -> float:
    """When (Unix s) a score of a hosted model must have been stored to be used. The store counts whole seconds: what is
    stored in the first one of this run is used.
    """
    return math.floor(time.time() - config.rerank.store_days * DAY_S)
