"""A job's engine where somebody else's model scores: asked over HTTP from the job's own process, without Ray."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from pipelines.base.config import RunConfig
from pipelines.hosted.client import HostedScorer
from pipelines.hosted.meter import Meter
from pipelines.job.engine import JobEngine
from pipelines.job.hosted_forecast import oldest_used_s
from pipelines.job.hosted_stream import in_a_thread
from pipelines.job.inquiry import Inquiry
from serve_app.engine.models import ModelInfo
from stages.core.errors import EngineError, ScoringError
from stages.core.identity import ScoringIdentity, read_key
from stages.core.records import Candidates, PairScore
from stages.core.rerank import rank_key
from stages.core.scoring import Scorer
from stages.files.tables import read_candidates
from stages.store.file import FILE_ERRORS
from stages.store.records import query_keys
from stages.store.scorer import ForgivingStore, StoredScorer

# Queries among which stored pairs are looked for, to ask for them again.
QUERIES_LOOKED_AT = 1000
# Of so many answers a mean latency tells something.
FEW_ANSWERS = 20


class HostedEngine(JobEngine):
    """A JobEngine whose engine is elsewhere: `start` starts nothing. `inquiry` has been asked what the server is; where
    it did not say, stored scores of what it said last may be used, and nothing may be asked for.

    Raises ConfigError and EngineError.
    """

    def __init__(self, model: ModelInfo, config: RunConfig, inquiry: Inquiry) -> None:
        self.endpoint, self._inquiry = inquiry.endpoint, inquiry
        self.meter = Meter(self.endpoint.shape, config.hosted)
        self.rechecked_pairs, self.largest_move = 0, None  # type: int, float | None
        self._recheck_cost = 0.0
        self._asking: HostedScorer | None = None
        super().__init__(model, config)
        self.identity = self._foreseen  # the server said so itself, whatever a store remembers

    def start(self) -> None:
        """Raises EngineError where the server did not say what it is: scores of another model would be kept as its."""
        if self._inquiry.fault:
            raise self._inquiry.fault
        self.needed = True

    def phase(self) -> str:
        return self._asking.waits.told() if self._asking else "nothing"

    def scorer(self) -> tuple[HostedScorer, Scorer]:
        """The API's scorer, and what the job asks: the same behind the store."""
        store = self._store
        hosted = HostedScorer(self.endpoint, self.config.hosted, self.meter, self._keep if store else None)
        self._asking = hosted
        if store is None:
            return hosted, hosted
        return hosted, _AlreadyKept(hosted, store, self.identity.key, self.model.name)

    async def _keep(
        self, query: str, documents: Sequence[str], instruction: str | None, scores: list[PairScore]
    ) -> None:
        """What is paid for is kept at once: a query may take many requests, and the job be killed between two."""
        assert self._store is not None
        keys = query_keys(self.identity.key, instruction, query, documents)
        pairs = dict(zip(keys.pairs, scores, strict=True))
        await asyncio.to_thread(self._store.write, keys.query, pairs, self.identity.key, self.model.name)

    def recheck(self, candidates: Path) -> None:
        """Ask again for a few pairs of one query whose scores are stored, and note where these moved."""
        if self._store is None or self._inquiry.fault or not self.config.hosted.recheck_pairs:
            return
        if (found := self._some_stored(candidates)) is None:
            return
        one, texts, before = found
        try:
            after = in_a_thread(partial(self._asked_again, one, texts))
        except ScoringError as error:
            self.notes.append(f"stored scores could not be asked for again: {error}")
            return
        self._recheck_cost = self.meter.cost
        moves = [
            abs(rank_key(new) - rank_key(old)) for old, new in zip(before, after, strict=True) if new.error is None
        ]
        if not moves:
            self.notes.append(f"stored scores could not be asked for again: {after[0].error}")
            return
        self.rechecked_pairs, self.largest_move = len(moves), max(moves)

    async def _asked_again(self, one: Candidates, texts: Sequence[str]) -> list[PairScore]:
        async with HostedScorer(self.endpoint, self.config.hosted, self.meter) as scorer:
            self._asking = scorer
            scores = await scorer.score(one.query, texts, one.instruction)
            if isinstance(scorer.stopped, EngineError):
                raise scorer.stopped
            return scores

    def _some_stored(self, candidates: Path) -> tuple[Candidates, list[str], list[PairScore]] | None:
        assert self._store is not None
        for one in islice(read_candidates(candidates), QUERIES_LOOKED_AT):
            keys = query_keys(self.identity.key, one.instruction, one.query, one.texts)
            known = self._store.lookup(keys)
            texts = {key: text for key, text in zip(keys.pairs, one.texts, strict=True) if key in known}
            if some := dict(islice(texts.items(), self.config.hosted.recheck_pairs)):
                return one, list(some.values()), [known[key] for key in some]
        return None

    def told(self) -> dict[str, Any]:
        """As metrics.json has it."""
        told = self.meter.told()
        return {
            "url": self.endpoint.url,
            "api": self.endpoint.api,
            **told,
            "rechecked_pairs": self.rechecked_pairs,
            "largest_move": self.largest_move,
            "recheck_cost": None if told["cost"] is None else self._recheck_cost,
        }

    def note_pace(self) -> None:
        """Where too few requests at once kept the rate from being used."""
        if self._asking is None or self.meter.answered < FEW_ANSWERS:
            return
        if (left := self._asking.places.too_few()) is None:
            return
        settings = self.config.hosted
        name = "max_concurrency" if settings.concurrency is None else "concurrency"
        self.notes.append(
            f"hosted.{name} {self._asking.places.most} lets about {left:,.0f} requests a minute leave at this "
            f"latency, fewer than the {settings.requests_per_minute:g} of hosted.requests_per_minute: set it higher"
        )

    def _open_store(self) -> ForgivingStore[PairScore] | None:
        """Scores that are older than they may be are not there."""
        store = super()._open_store()
        if store is not None:
            store.since_s = oldest_used_s(self.config)
        return store

    def _foresee(self) -> ScoringIdentity:
        """As the server tells it now; a dry run, which asks nobody, finds it by what is known without."""
        if self._inquiry.fault:
            return self._remembered(self._inquiry.fault)
        identity, without = self._inquiry.identity(), self._inquiry.foreseen()
        if self._store and not self._store.store.read_only:
            with contextlib.suppress(*FILE_ERRORS):  # a store that fails says so in the end
                self._store.store.remember(without.key, identity.key)
        return identity

    def _remembered(self, fault: EngineError) -> ScoringIdentity:
        """What the server said last, where the store knows. Raises the fault where it does not."""
        last = None
        if self._store:
            with contextlib.suppress(*FILE_ERRORS):
                last = self._store.store.told(self._inquiry.foreseen().key)
        if not last or not (identity := read_key(last)):
            raise fault
        self.notes.append(f"{fault}. Stored scores of what it said last are used, and nothing is asked for")
        return identity


class _AlreadyKept(StoredScorer):
    """Whose scorer keeps what it scores, request by request."""

    def _keep(self, scored: Any) -> None:
        del scored
