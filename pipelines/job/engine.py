"""What a job scores with: an application of engines behind Ray Serve, or no engine at all; in front of it the store."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.base.awaiting import awaited
from pipelines.base.config import RunConfig
from pipelines.job.device import in_cluster, known_device
from pipelines.job.identity import foresee, place_key, require_as_asked, told_anew, unused_scores
from pipelines.job.stand_in import scores_here, stand_in_scores
from pipelines.job.store_faults import describe_faults
from serve_app.engine.canaries import CanaryDrift, canary_drift, check_canaries, describe_drift
from serve_app.engine.models import ModelInfo
from serve_app.settings import OVERLAP
from stages.analysis.position import PositionCheck, position_check, top_of
from stages.core.identity import ScoringIdentity, read_key
from stages.core.records import Candidates, PairScore
from stages.core.scoring import OverlapScorer, Scorer
from stages.files.tables import read_candidates
from stages.store.file import FILE_ERRORS, set_aside_if_damaged
from stages.store.records import query_keys
from stages.store.scorer import ForgivingStore, stored_scores
from stages.store.store import ScoreStore

if TYPE_CHECKING:  # Ray, Serve and vLLM's client take seconds to import: what runs imports them, in `served`
    from pipelines.job.store_access import StoreAccess
    from serve_app.replica.app import RunningApp
    from serve_app.replica.client import ServedScorer


class JobEngine:
    """The engine of one job. It is started by `start`, or by the first candidates that the store does not know.

    `identity` is what decides the job's scores: as foreseen, and from `wait_until_identified` on as the engine tells.
    `has_stored`: the store has scores of that.
    `connect` is called before anything of the cluster is needed. That is at once where the store has none of the job's
    scores: the cluster is then up when the data is read.
    """

    def __init__(self, model: ModelInfo, config: RunConfig, connect: Callable[[], object] = lambda: None) -> None:
        self.model, self.config, self._connect = model, config, connect
        self.app: RunningApp | None = None
        self._began_s = time.time()
        self.needed, self.alone = False, scores_here(model, config.serve)
        self.canaries_passed: bool | None = None
        self.canary_drift: CanaryDrift | None = None
        self.notes: list[str] = []
        self._identified = False
        self.has_stored = False
        self._place = place_key(model, config)
        self._access: StoreAccess | None = None  # as workers reach the store, once there may be some
        self._store = self._open_store()
        self.identity = self._foreseen = self._foresee()
        self._look_into_store()
        if self._store is None and not self.alone:
            self.start()

    @property
    def application(self) -> str | None:
        """The running application's name; None where the job has no engine."""
        return self.app.name if self.app else None

    def start(self) -> None:
        """Start the application, or find it running; returns before its engines are ready."""
        self.needed = True
        self._connect()
        if self.model.family != OVERLAP:
            from pipelines.job.served import start_app

            self.app = start_app(self.model, self.config)

    def see(self, candidates: Candidates) -> list[PairScore] | None:
        """Their scores, where the store knows all of them. Else, and where an engine is needed anyway, None: it is
        started at the first such candidates.
        """
        if self.alone:
            return stand_in_scores(candidates, self._store, self.identity)
        if self.needed or self._store is None:
            return None
        keys = query_keys(
            self.identity.key,
            candidates.instruction,
            candidates.query,
            candidates.texts,
            listwise=self.identity.listwise,
        )
        if (scores := stored_scores(keys, self._store)) is None:
            self.start()
        return scores

    def wait_until_identified(self) -> None:
        """Block until the engine tells what decides its scores: from then on they are kept and found under that.

        Raises EngineError where none starts, ConfigError where it scores otherwise than the config says.
        """
        if self.app is None or self._identified:
            return
        told = self.app.wait_until_identified()
        # As this cluster, which runs by now, lets foresee it: a store may have told of one that was there before.
        foreseen_here = foresee(self.model, self.config)
        require_as_asked(foreseen_here, told, self.config, self.app.name)
        self._identified = True
        foreseen, self.identity = self.identity, told
        if self._store is None:
            return
        if note := told_anew(foreseen, told):
            self._note_of_store(note)
        with contextlib.suppress(*FILE_ERRORS):  # a store that fails says so in the end
            for expected in {foreseen_here.key, self._place} if not self._store.store.read_only else ():
                if expected:
                    self._store.store.remember(expected, told.key)

    def wait_until_ready(self) -> None:
        """Block until the engines answer, and answer sensibly. Raises EngineError or CanaryError."""
        self.wait_until_identified()
        if self.app:
            self.app.wait_until_ready()
            # Ahead of the job's own calls, which wait for the engine already.
            demand, made_up = self.config.model.canaries, self.config.engine.load_format == "dummy"
            scores = awaited(check_canaries(self._urgent(self.app.name), demand, made_up=made_up))
            self.canaries_passed = True
            self.canary_drift = canary_drift(self.model.name, self.identity, scores)
            if self.canary_drift and self.canary_drift.moved:
                self.notes.append(describe_drift(self.canary_drift, self.identity))

    def check_positions(self, candidates: Path, queries: int) -> PositionCheck | None:
        """Score the top of the first `queries` queries again, in order and shuffled; None where no engine runs."""
        if not self.app or not queries:
            return None
        asked = (one for one in read_candidates(candidates) if one.texts)
        scorer, some = self._urgent(self.app.name), map(top_of, islice(asked, queries))
        return awaited(position_check(scorer, some, listwise=self.identity.listwise))

    def phase(self) -> str:
        """What is waited for while the engine starts, in a few words."""
        return self.app.phase() if self.app else "nothing"

    def make_scorer(self) -> Callable[[], Scorer]:
        """What each Ray Data worker calls, in its own process, to get its scorer."""
        from pipelines.job.served import access_to, connect_scorer, with_store

        inner: Callable[[], Scorer] = OverlapScorer
        if self.app:
            inner = partial(connect_scorer, self.app.name, self._retry_for_s, self.identity)
        if self._store is None:
            return inner
        self._access = access_to(
            self._store.store, self.identity, self.model.name, self.config.rerank.store_vectors_gib
        )
        return partial(with_store, inner, self._access)

    def replicas(self) -> list[dict[str, Any]]:
        """What each replica says of itself that lived since the job began, those that died meanwhile included: an
        application that the job found running may have had others before.
        """
        known = self.app.replicas() if self.app else []
        return [facts for facts in known if facts["ended_s"] is None or facts["ended_s"] > self._began_s]

    def told(self) -> dict[str, Any] | None:
        """What asking somebody else took; None: the engine is one's own."""
        return None

    def living(self) -> list[dict[str, Any]]:
        return [facts for facts in self.replicas() if facts["ended_s"] is None]

    def ready_s(self) -> float | None:
        """When the first of the engines that live was ready (Unix s); None where the job has none."""
        return min((facts["ready_s"] for facts in self.living() if "ready_s" in facts), default=None)

    def stop(self) -> None:
        """Take down what was started. `notes` then tell what the user should know of store and scores."""
        if self._store:
            faults = self._store.faults
            if self._access:
                faults += self._access.faults()
                self._access.forget_faults()
            if told := describe_faults(faults):
                self._note_of_store(told)
            self._store.store.close()
        if self.app:
            self.app.stop()

    def _open_store(self) -> ForgivingStore[PairScore] | None:
        """The job's store; a damaged one is set aside first."""
        rerank = self.config.rerank
        if rerank.store is None:
            return None
        read_only = rerank.store_mode == "read_only"
        if not read_only and (aside := set_aside_if_damaged(Path(rerank.store))):
            self.notes.append(
                f"rerank.store {rerank.store}: damaged, and set aside as {aside.name}; a new store is started"
            )
        return ForgivingStore(ScoreStore(Path(rerank.store).resolve(), read_only=read_only), lambda _: None)

    def _foresee(self) -> ScoringIdentity:
        """As an engine told it that ran there, where a cluster is not connected that decides it; else as it will be."""
        if self._store and self._place and not in_cluster():
            with contextlib.suppress(*FILE_ERRORS):
                last = self._store.store.told(self._place)
                if last and (identity := read_key(last)):
                    return identity
        if self.model.family != OVERLAP and known_device(self.config.serve) is None:
            self._connect()
        return foresee(self.model, self.config)

    def _look_into_store(self) -> None:
        """What an engine told last where this identity was foreseen is the better guess; and what will not be used."""
        if self._store is None:
            return
        with contextlib.suppress(*FILE_ERRORS):  # a store that fails finds nothing, and says so in the end
            if last := self._store.store.told(self._foreseen.key):
                self.identity = read_key(last) or self._foreseen
            stored = self._store.store.scorings()
            for one in unused_scores(stored, self.identity):
                self._note_of_store(one)
            if any(one.identity == self.identity.key for one in stored):
                self.has_stored = True
                return
        if not self.alone:
            self._connect()

    def _note_of_store(self, told: str) -> None:
        self.notes.append(f"rerank.store {Path(self.config.rerank.store or '').resolve()}: {told}")

    def _urgent(self, application: str) -> ServedScorer:
        from pipelines.job.served import urgent_scorer

        return urgent_scorer(application, self._retry_for_s, self.identity)

    @property
    def _retry_for_s(self) -> float:
        return self.config.serve.retry_for_s
