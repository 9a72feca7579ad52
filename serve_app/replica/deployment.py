"""The Serve replica of a reranker: an actor that hosts one engine and answers queries."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from serve_app.engine.models import ModelInfo
from serve_app.replica.hosting import EngineReplica, Making, Place
from serve_app.settings import Backend, EngineSettings, ModelSettings
from stages.core.columns import Columns, pack
from stages.core.records import Asked, PairScore, TimedScores
from stages.core.scoring import score_each
from stages.core.vectors import VectorRows, distinct_texts

if TYPE_CHECKING:  # it brings the libraries that prompts are made with
    from serve_app.engine.exchange import Exchange
    from serve_app.engine.hosted import HostedEngine


class RerankReplica(EngineReplica):
    """Hosts one engine that scores."""

    _engine: HostedEngine

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        model: ModelInfo,
        model_settings: ModelSettings,
        engine: EngineSettings,
        max_text_chars: int,
        place: Place,
    ) -> None:
        def load(gpus: Sequence[str]) -> tuple[Making, dict[str, str]]:
            kind, versions = load_engine(engine.backend, gpus)
            return lambda name, tell: kind(model, model_settings, engine, name, max_text_chars, tell), versions

        await self._host(engine, place, load)

    async def score_batch(self, batch: Sequence[Asked], identity: str | None = None) -> Columns:
        """Queries and their documents -> what comes of each. Cancelling the call frees its work in the engine.

        Raises IdentityError where `identity` is given, and is not the digest of this engine's.
        """
        self._require(identity)
        with self._working():
            return pack(await score_each(self._score, batch))

    async def score_with_vectors(
        self, batch: Sequence[Asked], identity: str | None, known: VectorRows, *, wanted: bool
    ) -> tuple[Columns, VectorRows]:
        """As `score_batch`, for a model that makes vectors: with those of documents that the caller knows, and, where
        `wanted`, back with those of the others, whose places count `distinct_texts`.
        """
        self._require(identity)
        from serve_app.engine.exchange import Exchange

        exchange = Exchange(known.by_key(), wanted=wanted)
        with self._working():
            outcomes = await score_each(partial(self._score, exchange=exchange), batch)
            return pack(outcomes), exchange.back(distinct_texts(batch))

    async def _score(
        self, query: str, documents: Sequence[str], instruction: str | None, **more: Exchange
    ) -> list[PairScore]:
        async with self._places:
            return await self._engine.score(query, documents, instruction, **more)

    async def score_online(
        self,
        query: str,
        documents: Sequence[str],
        instruction: str | None,
        max_document_tokens: int | None,
        identity: str | None = None,
    ) -> TimedScores:
        """One query, ahead of all batch work, with where the time went."""
        self._require(identity)
        return await self._engine.score_timed(query, documents, instruction, max_document_tokens=max_document_tokens)


def load_engine(backend: Backend, gpus: Sequence[str]) -> tuple[Callable[..., HostedEngine], dict[str, str]]:
    """The class of engine, and the versions of what it computes with. Imports that, and nothing of the other's. `gpus`
    are those that the replica was given.
    """
    if backend == "transformers":
        if not gpus:  # Ray leaves in sight what it gave to nobody, or to others
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        from serve_app.engine import transformers_engine

        return transformers_engine.TransformersEngine, transformers_engine.VERSIONS
    from serve_app.engine import engine

    return engine.VllmEngine, engine.VERSIONS
