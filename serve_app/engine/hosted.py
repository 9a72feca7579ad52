"""What every engine does around what it computes with: texts -> prompts -> outputs -> scores, for many calls."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from serve_app.engine.engine_stats import EngineStats
from serve_app.engine.exchange import Exchange
from serve_app.engine.identity import make_identity
from serve_app.engine.models import ModelInfo, folder_digest
from serve_app.engine.outputs import Output
from serve_app.engine.procedure import load_procedure, vector_maker
from serve_app.engine.prompt_threads import PromptThreads
from serve_app.engine.prompts import Prompt
from serve_app.engine.shared_vectors import SharedVectors
from serve_app.engine.text_limit import TextLimit
from serve_app.engine.vector_memory import VectorMemory
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.errors import EngineError
from stages.core.identity import ScoringIdentity
from stages.core.records import PairScore, TimedScores

# Lower numbers are served first.
ONLINE, BATCH = 0, 10
MIB = 1 << 20


class HostedEngine(ABC):
    """A Scorer: one engine with the prompts of one model. A replica hosts it, on one event loop."""

    identity: ScoringIdentity

    def __init__(
        self,
        model: ModelInfo,
        model_settings: ModelSettings,
        engine: EngineSettings,
        replica: str,
        max_text_chars: int,
    ) -> None:
        self.limit = TextLimit(max_text_chars)
        self.procedure = load_procedure(model, model_settings)
        maker = vector_maker(self.procedure)
        memory = VectorMemory(int(engine.vector_memory_mib * MIB))
        self.vectors = SharedVectors(maker.vectors, memory) if maker else None
        self.prompts = PromptThreads(self.procedure.encoder)
        self.stats = EngineStats(replica)

    @abstractmethod
    async def _computed(self, prompts: Sequence[Prompt], priority: int) -> tuple[list[Output], float]:
        """One output for each prompt, and the longest time (ms) that one waited. Cancelling gives up what is left.

        Raises EngineError, EngineDiedError where the engine dies of one of these prompts, as far as is known.
        """

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """What the engine settled on, for the record of a run."""

    @property
    @abstractmethod
    def dead(self) -> bool:
        """Whether the engine is gone for good; for any thread."""

    @abstractmethod
    def shutdown(self) -> None: ...

    async def score(
        self,
        query: str,
        documents: Sequence[str],
        instruction: str | None = None,
        exchange: Exchange | None = None,
    ) -> list[PairScore]:
        """Score each document for the query, behind all online work. One of too many characters is a failed pair.
        `exchange` has vectors of documents that the caller knows, for a model that makes some.

        Raises QueryTooLongError or TextTooLongError for the query, EngineError when the engine died; TextTooLongError
        for a document of a list that is scored as a whole: without it the others would have other scores.
        """
        if self.identity.listwise:
            return (await self.score_timed(query, documents, instruction, priority=BATCH)).pairs
        faults = [self.limit.fault(document) for document in documents]
        fitting = [document for document, fault in zip(documents, faults, strict=True) if fault is None]
        timed = await self.score_timed(query, fitting, instruction, priority=BATCH, exchange=exchange)
        scored = iter(timed.pairs)
        return [next(scored) if fault is None else PairScore(None, error=fault) for fault in faults]

    async def score_timed(
        self,
        query: str,
        documents: Sequence[str],
        instruction: str | None = None,
        *,
        priority: int = ONLINE,
        max_document_tokens: int | None = None,
        exchange: Exchange | None = None,
    ) -> TimedScores:
        """As `score`, with where the time went. Lower priorities are served first; cancelling aborts what is left.

        Raises TextTooLongError for a document as well.
        """
        self.limit.require(query, documents, instruction)
        await self.check_health()  # a dead engine is nobody's fault here: its calls must not be suspected
        started_s = time.perf_counter()
        prompts = await self.prompts.encode(
            query, instruction, documents, max_document_tokens, online=priority == ONLINE
        )
        tokenized_s = time.perf_counter()
        if self.vectors is None:
            outputs, queue_ms = await self._computed(prompts, priority)
        else:
            given = exchange.given if exchange else {}
            outputs, queue_ms = await self.vectors.of(prompts, priority, self._computed, given)
            if exchange:
                exchange.note(documents, prompts, outputs)
        pairs = self.procedure.pairs(prompts, outputs)
        ended_s = time.perf_counter()
        return TimedScores(
            pairs=pairs,
            tokenize_ms=(tokenized_s - started_s) * 1000,
            queue_ms=queue_ms,
            engine_ms=(ended_s - tokenized_s) * 1000,
        )

    async def check_health(self) -> None:
        """Raise EngineError when the engine is dead."""
        if self.dead:
            raise EngineError("the engine died")


def identified(
    model: ModelInfo, model_settings: ModelSettings, engine: EngineSettings, device: str, dtype: str
) -> tuple[ModelInfo, ScoringIdentity]:
    """The model by its files as they are here and now, and what decides the scores of an engine with it: the job may
    have seen other files, on another machine or before a change.
    """
    found = replace(model, digest=folder_digest(model.path)) if model.digest else model
    return found, make_identity(found, model_settings, engine, device, dtype)
