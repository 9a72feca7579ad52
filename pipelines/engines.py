"""What a job scores with: an application of engines behind Ray Serve, or no engine at all; in front of it the store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import ray

from pipelines.config import RunConfig
from serve_app.app import AppSettings, RunningApp, reranker_handle
from serve_app.client import ServedScorer, check_canaries
from serve_app.engine_args import has_bfloat16
from serve_app.models import ModelInfo
from serve_app.prompts import QWEN3_INSTRUCTION
from serve_app.settings import OVERLAP
from stages.errors import EngineError
from stages.records import Candidates, PairScore
from stages.score_store import ScoreStore, StoredScorer, pair_key
from stages.scoring import OverlapScorer, Scorer


class JobEngine:
    """The engine of one job. It is started by `start`, or by the first candidates that the store does not know."""

    def __init__(self, model: ModelInfo, config: RunConfig) -> None:
        self.model, self.config = model, config
        self.app: RunningApp | None = None
        self.needed = False
        self.scoring = scoring_identity(model, config)
        self._store = ScoreStore(Path(config.rerank.store)) if config.rerank.store else None
        if self._store is None:
            self.start()

    @property
    def application(self) -> str | None:
        """The running application's name; None where the job has no engine."""
        return self.app.name if self.app else None

    def start(self) -> None:
        """Start the application, or find it running; returns before its engines are ready."""
        self.needed = True
        if self.model.family != OVERLAP:
            settings = AppSettings(self.model, self.config.model, self.config.engine, self.config.serve)
            self.app = RunningApp(settings)

    def see(self, candidates: Candidates) -> None:
        """Start at the first candidates with a pair that the store does not know."""
        if self.needed or self._store is None:
            return
        keys = [pair_key(self.scoring, candidates.instruction, candidates.query, text) for text in candidates.texts]
        if len(self._store.lookup(keys)) < len(set(keys)):
            self.start()

    def wait_until_ready(self) -> None:
        """Block until the engines answer, and answer sensibly. Raises EngineError or CanaryError."""
        if self.app:
            self.app.wait_until_ready()
            asyncio.run(check_canaries(connect_scorer(self.app.name, self._retry_for_s)))

    def make_scorer(self) -> Callable[[], Scorer]:
        """What each Ray Data worker calls, in its own process, to get its scorer."""
        if not self.needed:
            inner: Callable[[], Scorer] = UnneededScorer
        elif self.app:
            inner = partial(connect_scorer, self.app.name, self._retry_for_s)
        else:
            inner = OverlapScorer
        store = self.config.rerank.store
        return partial(with_store, inner, str(Path(store).resolve()), self.scoring) if store else inner

    def replicas(self) -> list[dict[str, Any]]:
        return self.app.replicas() if self.app else []

    def stop(self) -> None:
        if self._store:
            self._store.close()
        if self.app:
            self.app.stop()

    @property
    def _retry_for_s(self) -> float:
        return self.config.serve.retry_for_s


class UnneededScorer:
    """Stands behind a store that knows every pair; a pair that is gone from it meanwhile is an error, not a guess."""

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        del query, instruction
        raise EngineError(f"{len(documents)} scores vanished from rerank.store while the job ran. Run it again")


def connect_scorer(application: str, retry_for_s: float) -> Scorer:
    """A scorer over the application's handle."""
    return ServedScorer(reranker_handle(application), retry_for_s)


def with_store(make_scorer: Callable[[], Scorer], folder: str, scoring: str) -> Scorer:
    """The scorer with the store in front of it."""
    return StoredScorer(make_scorer(), ScoreStore(Path(folder)), scoring)


def scoring_identity(model: ModelInfo, config: RunConfig) -> str:
    """Everything that decides a score but the texts: two jobs share stored scores where this is equal."""
    engine = config.engine
    instruction = config.model.instruction
    if instruction is None and model.family == "qwen3-reranker":
        instruction = QWEN3_INSTRUCTION
    weights = [model.digest] if model.digest else [model.name, model.revision]
    prompt = [model.family, config.model.template, instruction, model.max_length]
    return json.dumps([weights, prompt, _dtype(config), engine.load_format, engine.extra], sort_keys=True)


def _dtype(config: RunConfig) -> str:
    """What `auto` will come to, as far as it can be told before the engine runs."""
    if config.engine.dtype != "auto":
        return config.engine.dtype
    gpus = config.serve.gpus_per_replica
    if gpus is None:
        gpus = ray.cluster_resources().get("GPU", 0)  # type: ignore[no-untyped-call]
    if gpus:
        return "as on a GPU"
    return "bfloat16" if has_bfloat16() else "float32"
