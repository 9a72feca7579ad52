"""A judge with a store in front of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol
from weakref import WeakValueDictionary

from stages.core.errors import ScoringError
from stages.core.grades import Reply
from stages.store.records import query_keys
from stages.store.scorer import Store


class Grader(Protocol):
    """One query and its documents -> a Reply each, in the documents' order. A pair that fails carries its `error`.

    Raises a ScoringError where the whole query cannot be graded.
    """

    async def grade(self, query: str, documents: Sequence[str]) -> list[Reply]: ...


class Told(NamedTuple):
    """A reply, and whether it cost nothing now."""

    reply: Reply
    stored: bool


class StoredGrader:
    """Asks a judge only for what the store does not know, once per distinct text, and keeps what it says.

    Queries with the same text wait for each other. `asking` stands for all that decides a reply beside both texts.
    `each`: a document is asked for by itself, and kept as soon as it is there, since it is paid for.
    """

    def __init__(self, grader: Grader, store: Store[Reply], asking: str, name: str, *, each: bool = False) -> None:
        self._grader, self._store, self._asking, self._name, self._each = grader, store, asking, name, each
        self._at_work: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def grade(self, query: str, documents: Sequence[str]) -> list[Told]:
        keys = query_keys(self._asking, None, query, documents)
        async with self._at_work.setdefault(keys.query, asyncio.Lock()):
            # In a thread: another process may hold the file for a while, and other queries go on meanwhile.
            known = await asyncio.to_thread(self._store.lookup, keys)
            missing = {key: text for key, text in zip(keys.pairs, documents, strict=True) if key not in known}
            fresh = await self._ask(keys.query, query, missing) if missing else {}
        first = {key: place for place, key in reversed(list(enumerate(keys.pairs)))}
        return [
            Told(fresh[key], first[key] != place and not fresh[key].failed) if key in fresh else Told(known[key], True)
            for place, key in enumerate(keys.pairs)
        ]

    async def _ask(self, number: int, query: str, missing: Mapping[bytes, str]) -> dict[bytes, Reply]:
        """Those of the missing texts, by their keys."""
        items = list(missing.items())
        parts = [[one] for one in items] if self._each else [items]
        replies = await asyncio.gather(*(self._part(number, query, dict(part)) for part in parts))
        return {key: reply for part in replies for key, reply in part.items()}

    async def _part(self, number: int, query: str, texts: Mapping[bytes, str]) -> dict[bytes, Reply]:
        try:
            told = await self._grader.grade(query, list(texts.values()))
        except ScoringError as error:
            return dict.fromkeys(texts, Reply(error=str(error)))
        replies = dict(zip(texts, told, strict=True))
        await asyncio.to_thread(self._store.write, number, replies, self._asking, self._name)
        return replies
