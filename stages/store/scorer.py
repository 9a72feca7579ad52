"""A scorer with a score store in front of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, Protocol
from weakref import WeakValueDictionary

from stages.core.errors import ScoringError
from stages.core.records import Asked, Outcome, PairScore
from stages.core.scoring import Scorer, required, score_batch
from stages.store.file import FILE_ERRORS, is_damaged
from stages.store.records import QueryKeys, query_keys
from stages.store.store import KeyedStore, Value


class Store(Protocol[Value]):
    """What a StoredScorer asks, from threads: a score store here, or one in another process. It does not raise."""

    def lookup(self, keys: QueryKeys) -> dict[bytes, Value]: ...

    def write(self, query: int, scores: Mapping[bytes, Value], identity: str, model: str) -> None: ...


@dataclass(frozen=True, slots=True)
class StoreFaults:
    """What a store could not do: keep scores or vectors, look up, read what is damaged; and the last reason.
    `vectors_full`: how many workers keep no more vectors, as these take all that they may.
    """

    unkept_scores: int = 0
    failed_lookups: int = 0
    damaged_batches: int = 0
    reason: str = ""
    unkept_vectors: int = 0
    vectors_full: int = 0

    def __add__(self, later: StoreFaults) -> StoreFaults:
        return StoreFaults(
            self.unkept_scores + later.unkept_scores,
            self.failed_lookups + later.failed_lookups,
            self.damaged_batches + later.damaged_batches,
            later.reason or self.reason,
            self.unkept_vectors + later.unkept_vectors,
            self.vectors_full + later.vectors_full,
        )


class ForgivingStore(Generic[Value]):
    """A store whose faults (a full disk, a damaged file) cost time, never results: they are counted and reported.

    A lookup that fails finds nothing; a write that fails keeps nothing, and after damage nothing more is written.
    `report` is called with the sum after each fault. Scores that were written before `since_s` (Unix s) are not known.
    """

    def __init__(self, store: KeyedStore[Value], report: Callable[[StoreFaults], None], since_s: float = 0.0) -> None:
        self.store, self.faults, self.since_s = store, StoreFaults(), since_s
        self._report = report
        self._writable = not store.read_only

    def lookup(self, keys: QueryKeys) -> dict[bytes, Value]:
        found: dict[bytes, Value] = {}
        try:
            found = self.store.lookup(keys, self.since_s)
        except FILE_ERRORS as error:
            self._note(error, failed_lookups=self.faults.failed_lookups + 1)
        if self.store.damaged > self.faults.damaged_batches:
            self._note("a checksum does not match", damaged_batches=self.store.damaged)
        return found

    def write(self, query: int, scores: Mapping[bytes, Value], identity: str, model: str) -> None:
        if self.store.read_only:
            return
        try:
            if self._writable:
                self.store.write(query, scores, identity, model)
                return
            reason: Exception | str = self.faults.reason
        except FILE_ERRORS as error:
            reason = error
        unkept = sum(map(self.store.codec.is_kept, scores.values()))
        self._note(reason, unkept_scores=self.faults.unkept_scores + unkept)

    def _note(self, reason: Exception | str, **counts: int) -> None:
        if isinstance(reason, Exception) and is_damaged(reason):
            self._writable = False
        self.faults = replace(self.faults, reason=str(reason), **counts)
        self._report(self.faults)


class StoredScorer:
    """A Scorer that asks another one only for what the store does not know, once per distinct text.

    Queries with the same text wait for each other, so that the later one finds what the earlier one had scored.
    `scoring` stands for the model, its prompt and its limits, `model` is its name for people. `listwise`: a score
    belongs to its whole list, which is asked for as a whole where the store lacks one of it.
    """

    def __init__(
        self, scorer: Scorer, store: Store[PairScore], scoring: str, model: str = "", *, listwise: bool = False
    ) -> None:
        self.scorer, self.store = scorer, store
        self.scoring, self.model, self.listwise = scoring, model, listwise
        self._at_work: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        """As the scorer within, whose errors pass through."""
        (outcome,) = await self.score_batch([Asked(query, tuple(documents), instruction)])
        return required(outcome)

    async def score_batch(self, batch: Sequence[Asked]) -> list[Outcome]:
        """What comes of each query, in order: what the store lacks of all of them is asked for at once."""
        outcomes: dict[int, Outcome] = {}
        keys = [
            query_keys(self.scoring, one.instruction, one.query, one.documents, listwise=self.listwise) for one in batch
        ]
        while len(outcomes) < len(batch):  # a query that comes again in the batch finds what it had scored before
            places = {keys[place].query: place for place in reversed(range(len(batch))) if place not in outcomes}
            some = sorted(places.values())
            fresh = await self._distinct([batch[place] for place in some], [keys[place] for place in some])
            outcomes |= dict(zip(some, fresh, strict=True))
        return [outcomes[place] for place in range(len(batch))]

    async def _distinct(self, batch: Sequence[Asked], keys: Sequence[QueryKeys]) -> list[Outcome]:
        """As `score_batch`, where no query comes twice."""
        async with contextlib.AsyncExitStack() as stack:
            for query in sorted(one.query for one in keys):  # in one order everywhere: none wait for each other
                await stack.enter_async_context(self._at_work.setdefault(query, asyncio.Lock()))
            # In a thread: another process may hold the file for a while, and other queries go on meanwhile.
            known = await asyncio.to_thread(lambda: [self.store.lookup(one) for one in keys])
            missing = [self._missing(*one) for one in zip(batch, keys, known, strict=True)]
            places = [place for place, texts in enumerate(missing) if texts]
            asked = [batch[place]._replace(documents=tuple(missing[place].values())) for place in places]
            outcomes = dict(zip(places, await score_batch(self.scorer, asked) if asked else [], strict=True))
            scored = {
                place: dict(zip(missing[place], outcome, strict=True))
                for place, outcome in outcomes.items()
                if not isinstance(outcome, ScoringError)
            }
            if scored:
                await asyncio.to_thread(self._keep, {keys[place].query: pairs for place, pairs in scored.items()})
        return [
            outcomes[place]
            if place in outcomes.keys() - scored.keys()
            else _once(keys[place].pairs, known[place] | scored.get(place, {}))
            for place in range(len(batch))
        ]

    def _missing(self, asked: Asked, keys: QueryKeys, known: Mapping[bytes, PairScore]) -> dict[bytes, str]:
        """The texts to ask for, by their keys."""
        texts = dict(zip(keys.pairs, asked.documents, strict=True))
        missing = {key: text for key, text in texts.items() if key not in known}
        return texts if missing and self.listwise else missing

    def _keep(self, scored: Mapping[int, Mapping[bytes, PairScore]]) -> None:
        for query, pairs in scored.items():
            self.store.write(query, pairs, self.scoring, self.model)


def stored_scores(keys: QueryKeys, store: Store[PairScore]) -> list[PairScore] | None:
    """A query's scores, parallel to its documents, where the store knows all of them; else None."""
    known = store.lookup(keys)
    return _once(keys.pairs, known) if known.keys() >= set(keys.pairs) else None


def _once(keys: Sequence[bytes], known: Mapping[bytes, PairScore]) -> list[PairScore]:
    """Each key's score; where a text occurs again within the query, the second one cost nothing."""
    seen: set[bytes] = set()
    scores = []
    for key in keys:
        pair = known[key]
        scores.append(replace(pair, stored=True) if key in seen and pair.error is None else pair)
        seen.add(key)
    return scores
