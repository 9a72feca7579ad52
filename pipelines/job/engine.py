"""What a job scores with: an application of engines behind Ray Serve, or no engine at all; in front of it the store."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import ray

from pipelines.base.config import RunConfig
from pipelines.job.store_access import StoreAccess, describe_faults, with_store
from serve_app.engine.canaries import check_canaries
from serve_app.engine.engine_args import has_bfloat16
from serve_app.engine.models import ModelInfo
from serve_app.engine.prompts import QWEN3_INSTRUCTION
from serve_app.replica.app import AppSettings, RunningApp, reranker_handle
from serve_app.replica.client import ServedScorer, UrgentScorer
from serve_app.settings import OVERLAP
from stages.analysis.position import PositionCheck, position_check
from stages.core.errors import EngineError
from stages.core.records import Candidates, PairScore
from stages.core.scoring import OverlapScorer, Scorer
from stages.files.tables import read_candidates
from stages.store.file import set_aside_if_damaged
from stages.store.records import query_keys

# Enough to see a score that depends on its place, few enough to cost a second.
POSITION_DOCUMENTS = 20
IMPORT_S, POLL_S = 30.0, 0.2


class JobEngine:
    """The engine of one job. It is started by `start`, or by the first candidates that the store does not know."""

    def __init__(self, model: ModelInfo, config: RunConfig) -> None:
        self.model, self.config = model, config
        self.app: RunningApp | None = None
        self._began_s = time.time()
        self.needed = False
        self.canaries_passed: bool | None = None
        self.scoring = scoring_identity(model, config)
        self.store_notes: list[str] = []
        self._access = self._store_access()
        self._store = self._access.open() if self._access else None
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
        keys = query_keys(self.scoring, candidates.instruction, candidates.query, candidates.texts)
        if len(self._store.lookup(keys)) < len(set(keys.pairs)):
            self.start()

    def wait_until_imported(self) -> None:
        """Block until an engine's process has imported vLLM, IMPORT_S at most.

        That takes seconds of processor time; whatever else starts meanwhile makes it, and so the engine, later.
        """
        deadline = time.monotonic() + IMPORT_S
        while self.app and time.monotonic() < deadline and not any("vllm" in facts for facts in self.living()):
            time.sleep(POLL_S)

    def wait_until_ready(self) -> None:
        """Block until the engines answer, and answer sensibly. Raises EngineError or CanaryError."""
        if self.app:
            self.app.wait_until_ready()
            # Ahead of the job's own calls, which wait for the engine already.
            asyncio.run(check_canaries(UrgentScorer(reranker_handle(self.app.name), self._retry_for_s)))
            self.canaries_passed = True

    def check_positions(self, candidates: Path, queries: int) -> PositionCheck | None:
        """Score the top of the first `queries` queries again, in order and shuffled; None where no engine runs."""
        if not self.app or not queries:
            return None
        scorer = UrgentScorer(reranker_handle(self.app.name), self._retry_for_s)
        return asyncio.run(position_check(scorer, map(_top, islice(read_candidates(candidates), queries))))

    def make_scorer(self) -> Callable[[], Scorer]:
        """What each Ray Data worker calls, in its own process, to get its scorer."""
        if not self.needed:
            inner: Callable[[], Scorer] = UnneededScorer
        elif self.app:
            inner = partial(connect_scorer, self.app.name, self._retry_for_s)
        else:
            inner = OverlapScorer
        return partial(with_store, inner, self._access) if self._access else inner

    def replicas(self) -> list[dict[str, Any]]:
        """What each replica says of itself that lived since the job began, those that died meanwhile included: an
        application that the job found running may have had others before.
        """
        known = self.app.replicas() if self.app else []
        return [facts for facts in known if facts["ended_s"] is None or facts["ended_s"] > self._began_s]

    def living(self) -> list[dict[str, Any]]:
        return [facts for facts in self.replicas() if facts["ended_s"] is None]

    def ready_s(self) -> float | None:
        """When the first of the engines that live was ready (Unix s); None where the job has none."""
        return min((facts["ready_s"] for facts in self.living() if "ready_s" in facts), default=None)

    def stop(self) -> None:
        """Take down what was started. `store_notes` then tell what the user should know of the store."""
        if self._access and self._store:
            if told := describe_faults(self._access.folder, self._access.faults()):
                self.store_notes.append(told)
            self._access.forget_faults()
            self._store.store.close()
        if self.app:
            self.app.stop()

    def _store_access(self) -> StoreAccess | None:
        """Where the job's store lies; a damaged one is set aside first."""
        rerank = self.config.rerank
        if rerank.store is None:
            return None
        read_only = rerank.store_mode == "read_only"
        if not read_only and (aside := set_aside_if_damaged(Path(rerank.store))):
            self.store_notes.append(
                f"rerank.store {rerank.store}: damaged, and set aside as {aside.name}; a new store is started"
            )
        node_id = ray.get_runtime_context().get_node_id()
        return StoreAccess(str(Path(rerank.store).resolve()), read_only, node_id, self.scoring, self.model.name)

    @property
    def _retry_for_s(self) -> float:
        return self.config.serve.retry_for_s


def _top(candidates: Candidates) -> Candidates:
    return replace(
        candidates,
        doc_ids=candidates.doc_ids[:POSITION_DOCUMENTS],
        texts=candidates.texts[:POSITION_DOCUMENTS],
        scores=candidates.scores[:POSITION_DOCUMENTS],
        tail=(),
    )


class UnneededScorer:
    """Stands behind a store that knows every pair; a pair that is gone from it meanwhile is an error, not a guess."""

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        del query, instruction
        raise EngineError(f"{len(documents)} scores vanished from rerank.store while the job ran. Run it again")


def connect_scorer(application: str, retry_for_s: float) -> Scorer:
    """A scorer over the application's handle."""
    return ServedScorer(reranker_handle(application), retry_for_s)


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
