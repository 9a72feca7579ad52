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
from pipelines.hosted.endpoint import endpoint_of, identity_of
from pipelines.hosted.meter import Meter
from pipelines.job.engine import JobEngine
from pipelines.job.hosted_forecast import oldest_used_s
from pipelines.job.hosted_stream import in_a_thread
from serve_app.engine.models import ModelInfo
from stages.core.errors import EngineError, ScoringError
from stages.core.identity import ScoringIdentity
from stages.core.records import Candidates, PairScore
from stages.core.rerank import rank_key
from stages.core.scoring import Scorer
from stages.files.tables import read_candidates
from stages.store.file import FILE_ERRORS
from stages.store.records import query_keys
from stages.store.scorer import ForgivingStore, StoredScorer

# Queries among which stored pairs are looked for, to ask for them again.
QUERIES_LOOKED_AT = 1000
# From here on it is no rounding: engines and batches move a score by less.
MOVED = 1e-3


class HostedEngine(JobEngine):
    """A JobEngine whose engine is elsewhere: `start` starts nothing. It asks the server, when it is made, what it is.

    Raises ConfigError and EngineError.
    """

    def __init__(self, model: ModelInfo, config: RunConfig) -> None:
        self.endpoint = endpoint_of(config.model)
        self.meter = Meter(self.endpoint.shape, config.hosted)
        self.rechecked_pairs, self.largest_move = 0, None  # type: int, float | None
        super().__init__(model, config)
        self.identity = self._foreseen  # the server said so itself, whatever a store remembers

    def start(self) -> None:
        self.needed = True

    def scorer(self) -> tuple[HostedScorer, Scorer]:
        """The API's scorer, and what the job asks: the same behind the store."""
        store = self._store
        hosted = HostedScorer(self.endpoint, self.config.hosted, self.meter, self._keep if store else None)
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
        if self._store is None or not self.config.hosted.recheck_pairs:
            return
        if (found := self._some_stored(candidates)) is None:
            return
        one, texts, before = found
        try:
            after = in_a_thread(partial(self._asked_again, one, texts))
        except ScoringError as error:
            self.notes.append(f"stored scores could not be asked for again: {error}")
            return
        moves = [
            abs(rank_key(new) - rank_key(old)) for old, new in zip(before, after, strict=True) if new.error is None
        ]
        if not moves:
            self.notes.append(f"stored scores could not be asked for again: {after[0].error}")
            return
        self.rechecked_pairs, self.largest_move = len(moves), max(moves)
        if self.largest_move > MOVED:
            self.notes.append(
                f"scores moved: of {len(moves)} stored pairs that were asked for again one is off by "
                f"{self.largest_move:.3g}: the model behind {self.endpoint.host} is not what it was when they were "
                "stored. rerank.store_days 0 asks for all of them anew"
            )

    async def _asked_again(self, one: Candidates, texts: Sequence[str]) -> list[PairScore]:
        async with HostedScorer(self.endpoint, self.config.hosted, self.meter) as scorer:
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
        return {
            "url": self.endpoint.url,
            "api": self.endpoint.api,
            **self.meter.told(),
            "rechecked_pairs": self.rechecked_pairs,
            "largest_move": self.largest_move,
        }

    def _open_store(self) -> ForgivingStore | None:
        """Scores that are older than they may be are not there."""
        store = super()._open_store()
        if store is not None:
            store.since_s = oldest_used_s(self.config)
        return store

    def _foresee(self) -> ScoringIdentity:
        """As the server tells it now; a dry run, which asks nobody, finds it by what is known without."""
        told = in_a_thread(self._told_by_server)
        instruction = self.config.model.instruction
        identity, without = (identity_of(self.endpoint, instruction, one) for one in (told, {}))
        if self._store and not self._store.store.read_only:
            with contextlib.suppress(*FILE_ERRORS):  # a store that fails says so in the end
                self._store.store.remember(without.key, identity.key)
        return identity

    async def _told_by_server(self) -> dict[str, Any]:
        async with HostedScorer(
            self.endpoint, self.config.hosted, Meter(self.endpoint.shape, self.config.hosted)
        ) as one:
            return await one.tell()


class _AlreadyKept(StoredScorer):
    """Whose scorer keeps what it scores, request by request."""

    def _keep(self, scored: Any) -> None:
        del scored
