"""What a job scores with: an application of engines behind Ray Serve, or no engine at all; in front of it the store."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import ray

from pipelines.base.config import RunConfig
from pipelines.job.identity import foresee, require_as_asked, told_anew, unused_scores
from pipelines.job.store_access import StoreAccess, describe_faults, with_store
from serve_app.engine.canaries import CanaryDrift, canary_drift, check_canaries, describe_drift
from serve_app.engine.models import ModelInfo
from serve_app.replica.app import AppSettings, RunningApp, reranker_handle
from serve_app.replica.client import ServedScorer, UrgentScorer
from serve_app.settings import OVERLAP
from stages.analysis.position import PositionCheck, position_check
from stages.core.errors import EngineError
from stages.core.identity import ScoringIdentity, read_key
from stages.core.records import Candidates, PairScore
from stages.core.scoring import OverlapScorer, Scorer
from stages.files.tables import read_candidates
from stages.store.file import FILE_ERRORS, set_aside_if_damaged
from stages.store.records import query_keys

# Enough to see a score that depends on its place, few enough to cost a second.
POSITION_DOCUMENTS = 20


class JobEngine:
    """The engine of one job. It is started by `start`, or by the first candidates that the store does not know.

    `identity` is what decides the job's scores: as foreseen, and from `wait_until_identified` on as the engine tells.
    """

    def __init__(self, model: ModelInfo, config: RunConfig) -> None:
        self.model, self.config = model, config
        self.app: RunningApp | None = None
        self._began_s = time.time()
        self.needed = False
        self.canaries_passed: bool | None = None
        self.canary_drift: CanaryDrift | None = None
        self.identity = self._foreseen = foresee(model, config)
        self.notes: list[str] = []
        self._identified = False
        self._access = self._store_access()
        self._store = self._access.open() if self._access else None
        self._look_into_store()
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
        keys = query_keys(
            self.identity.key,
            candidates.instruction,
            candidates.query,
            candidates.texts,
            listwise=self.identity.listwise,
        )
        if len(self._store.lookup(keys)) < len(set(keys.pairs)):
            self.start()

    def wait_until_identified(self) -> None:
        """Block until the engine tells what decides its scores: from then on they are kept and found under that.

        Raises EngineError where none starts, ConfigError where it scores otherwise than the config says.
        """
        if self.app is None or self._identified:
            return
        told = self.app.wait_until_identified()
        require_as_asked(self._foreseen, told, self.config, self.app.name)
        self._identified = True
        foreseen, self.identity = self.identity, told
        if self._access is None or self._store is None:
            return
        if note := told_anew(foreseen, told):
            self.notes.append(f"rerank.store {self._access.folder}: {note}")
        self._access = replace(self._access, scoring=told.key)
        with contextlib.suppress(*FILE_ERRORS):  # a store that fails says so in the end
            if not self._access.read_only:
                self._store.store.remember(self._foreseen.key, told.key)

    def wait_until_ready(self) -> None:
        """Block until the engines answer, and answer sensibly. Raises EngineError or CanaryError."""
        self.wait_until_identified()
        if self.app:
            self.app.wait_until_ready()
            # Ahead of the job's own calls, which wait for the engine already.
            demand, made_up = self.config.model.canaries, self.config.engine.load_format == "dummy"
            scores = asyncio.run(check_canaries(self._urgent(self.app.name), demand, made_up=made_up))
            self.canaries_passed = True
            self.canary_drift = canary_drift(self.model.name, self.identity, scores)
            if self.canary_drift and self.canary_drift.moved:
                self.notes.append(describe_drift(self.canary_drift, self.identity))

    def check_positions(self, candidates: Path, queries: int) -> PositionCheck | None:
        """Score the top of the first `queries` queries again, in order and shuffled; None where no engine runs."""
        if not self.app or not queries:
            return None
        scorer, some = self._urgent(self.app.name), map(_top, islice(read_candidates(candidates), queries))
        return asyncio.run(position_check(scorer, some, listwise=self.identity.listwise))

    def make_scorer(self) -> Callable[[], Scorer]:
        """What each Ray Data worker calls, in its own process, to get its scorer."""
        if not self.needed:
            inner: Callable[[], Scorer] = UnneededScorer
        elif self.app:
            inner = partial(connect_scorer, self.app.name, self._retry_for_s, self.identity)
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
        """Take down what was started. `notes` then tell what the user should know of store and scores."""
        if self._access and self._store:
            if told := describe_faults(self._access.folder, self._access.faults()):
                self.notes.append(told)
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
            self.notes.append(
                f"rerank.store {rerank.store}: damaged, and set aside as {aside.name}; a new store is started"
            )
        node_id = ray.get_runtime_context().get_node_id()
        return StoreAccess(str(Path(rerank.store).resolve()), read_only, node_id, self.identity.key, self.model.name)

    def _look_into_store(self) -> None:
        """What an engine told last where this identity was foreseen is the better guess; and what will not be used."""
        if self._access is None or self._store is None:
            return
        with contextlib.suppress(*FILE_ERRORS):  # a store that fails finds nothing, and says so in the end
            if last := self._store.store.told(self._foreseen.key):
                self.identity = read_key(last) or self._foreseen
                self._access = replace(self._access, scoring=self.identity.key)
            unused = unused_scores(self._store.store.scorings(), self.identity)
            self.notes += [f"rerank.store {self._access.folder}: {one}" for one in unused]

    def _urgent(self, application: str) -> ServedScorer:
        return _connected(UrgentScorer, application, self._retry_for_s, self.identity)

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


def connect_scorer(application: str, retry_for_s: float, identity: ScoringIdentity) -> Scorer:
    """A scorer over the application's handle, which takes scores of that identity alone."""
    return _connected(ServedScorer, application, retry_for_s, identity)


def _connected(
    kind: type[ServedScorer], application: str, retry_for_s: float, identity: ScoringIdentity
) -> ServedScorer:
    return kind(reranker_handle(application), retry_for_s, identity.digest, listwise=identity.listwise)
