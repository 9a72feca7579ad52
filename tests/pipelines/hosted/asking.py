"""A HostedScorer over one stub, asked once: what came of it, and what it counted, kept and stopped of."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, get_args

from pipelines.base.paid_sections import HostedSettings
from pipelines.hosted.client import HostedScorer
from pipelines.hosted.endpoint import endpoint_of
from pipelines.hosted.meter import Meter
from serve_app.settings import Api, ModelSettings
from stages.core.records import PairScore
from stages.core.scoring import OverlapScorer
from tests.hosted_api import StubApi

APIS: tuple[Api, ...] = get_args(Api)
QUERY, DOCUMENTS = "red fox", ["a dog", "the red fox", "a fox", "red"]
KEY = "secret-key-0123456789"


class Asking:
    """A scorer over the stub, used once; afterwards what it counted, kept and stopped of."""

    def __init__(self, url: str, api: Api, **settings: Any) -> None:
        model = ModelSettings(name=url, api=api, served_as="overlap", key_env="KEY")
        self.endpoint = endpoint_of(model, {"KEY": KEY})
        self.settings = HostedSettings.model_validate(settings)
        self.meter = Meter(self.endpoint.shape, self.settings)
        self.kept: list[tuple[Sequence[str], list[PairScore]]] = []
        self.stopped: Exception | None = None

    def score(self, documents: Sequence[str] = DOCUMENTS, instruction: str | None = None) -> list[PairScore]:
        return asyncio.run(self._score(documents, instruction))

    async def _score(self, documents: Sequence[str], instruction: str | None) -> list[PairScore]:
        async with HostedScorer(self.endpoint, self.settings, self.meter, self._keep) as scorer:
            try:
                return await scorer.score(QUERY, documents, instruction)
            finally:
                self.stopped = scorer.stopped

    async def _keep(self, _query: str, documents: Sequence[str], _told: str | None, scores: list[PairScore]) -> None:
        self.kept.append((documents, scores))


def local() -> list[float]:
    return [pair.score or 0.0 for pair in asyncio.run(OverlapScorer().score(QUERY, DOCUMENTS))]


def asking(stub: StubApi, **settings: Any) -> Asking:
    return Asking(stub.url, stub.api, **settings)  # type: ignore[arg-type]
