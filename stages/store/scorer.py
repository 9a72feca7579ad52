"""A scorer with a score store in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol
from weakref import WeakValueDictionary

from stages.core.records import PairScore
from stages.core.scoring import Scorer
from stages.store.file import FILE_ERRORS, is_damaged
from stages.store.records import QueryKeys, query_keys
from stages.store.store import ScoreStore


class Store(Protocol):
    """What a StoredScorer asks, from threads: a score store here, or one in another process. It does not raise."""

    def lookup(self, keys: QueryKeys) -> dict[bytes, PairScore]: ...

    def write(self, query: int, scores: Mapping[bytes, PairScore], identity: str, model: str) -> None: ...


@dataclass(frozen=True, slots=True)
class StoreFaults:
    """What a store could not do: keep scores, look up a query, read a damaged batch; and the last reason."""

    unkept_scores: int = 0
    failed_lookups: int = 0
    damaged_batches: int = 0
    reason: str = ""

    def __add__(self, later: StoreFaults) -> StoreFaults:
        return StoreFaults(
            self.unkept_scores + later.unkept_scores,
            self.failed_lookups + later.failed_lookups,
            self.damaged_batches + later.damaged_batches,
            later.reason or self.reason,
        )


class ForgivingStore:
    """A store whose faults (a full disk, a damaged file) cost time, never results: they are counted and reported.

    A lookup that fails finds nothing; a write that fails keeps nothing, and after damage nothing more is written.
    `report` is called with the sum after each fault.
    """

    def __init__(self, store: ScoreStore, report: Callable[[StoreFaults], None]) -> None:
        self.store, self.faults = store, StoreFaults()
        self._report = report
        self._writable = not store.read_only

    def lookup(self, keys: QueryKeys) -> dict[bytes, PairScore]:
        found: dict[bytes, PairScore] = {}
        try:
            found = self.store.lookup(keys)
        except FILE_ERRORS as error:
            self._note(error, failed_lookups=self.faults.failed_lookups + 1)
        if self.store.damaged > self.faults.damaged_batches:
            self._note("a checksum does not match", damaged_batches=self.store.damaged)
        return found

    def write(self, query: int, scores: Mapping[bytes, PairScore], identity: str, model: str) -> None:
        if self.store.read_only:
            return
        try:
            if self._writable:
                self.store.write(query, scores, identity, model)
                return
            reason: Exception | str = self.faults.reason
        except FILE_ERRORS as error:
            reason = error
        unkept = sum(pair.score is not None for pair in scores.values())
        self._note(reason, unkept_scores=self.faults.unkept_scores + unkept)

    def _note(self, reason: Exception | str, **counts: int) -> None:
        if isinstance(reason, Exception) and is_damaged(reason):
            self._writable = False
        self.faults = replace(self.faults, reason=str(reason), **counts)
        self._report(self.faults)


class StoredScorer:
    """A Scorer that asks another one only for what the store does not know, once per distinct text.

    Calls with the same query text wait for each other, so that the later one finds what the earlier one had scored.
    `scoring` stands for the model, its prompt and its limits, `model` is its name for people. `listwise`: a score
    belongs to its whole list, which is asked for as a whole where the store lacks one of it.
    """

    def __init__(self, scorer: Scorer, store: Store, scoring: str, model: str = "", *, listwise: bool = False) -> None:
        self.scorer, self.store = scorer, store
        self.scoring, self.model, self.listwise = scoring, model, listwise
        self._at_work: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        """As the scorer within, whose errors pass through."""
        keys = query_keys(self.scoring, instruction, query, documents, listwise=self.listwise)
        async with self._at_work.setdefault(keys.query, asyncio.Lock()):
            # In a thread: another process may hold the file for a while, and other queries go on meanwhile.
            known = await asyncio.to_thread(self.store.lookup, keys)
            missing = {key: text for key, text in zip(keys.pairs, documents, strict=True) if key not in known}
            if missing and self.listwise:
                missing = dict(zip(keys.pairs, documents, strict=True))
            if missing:
                fresh = await self.scorer.score(query, list(missing.values()), instruction)
                scored = dict(zip(missing, fresh, strict=True))
                await asyncio.to_thread(self.store.write, keys.query, scored, self.scoring, self.model)
                known |= scored
        return _once(keys.pairs, known)


def stored_scores(keys: QueryKeys, store: Store) -> list[PairScore] | None:
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
