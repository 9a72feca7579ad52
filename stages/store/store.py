"""Content-addressed scores: what was scored once is never scored again.

The key of a score is a hash of everything that decides it, so a killed job, a second experiment over overlapping
candidates and the same text under two ids all find what is already known. A folder holds one SQLite database, which
several processes may use at once. A query's scores are one row, a *batch*, with a checksum: after a crash they are
there, or not, and a damaged one is never read.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from stages.core.errors import DataError
from stages.core.identity import BEFORE
from stages.core.records import PairScore
from stages.store.file import FILE_ERRORS, SCORES, Layout, give_space_back, open_database
from stages.store.records import QueryKeys, pack, scores_in, unpack

# Batches per statement where many are read or deleted: other processes get their turn in between.
BATCHES_AT_ONCE = 500
TOLD = "CREATE TABLE IF NOT EXISTS told (foreseen TEXT PRIMARY KEY, identity TEXT NOT NULL)"


@dataclass(frozen=True, slots=True)
class StoredScoring:
    """How many scores belong to one scoring identity, and when (Unix seconds) the first and last were written.

    `model` is the name under which the first of them was scored.
    """

    identity: str
    model: str
    scores: int
    oldest_s: int
    newest_s: int

    @property
    def before(self) -> bool:
        """Whether rerank-eval 0.1.0 wrote them, which recorded only half of what decides a score."""
        return self.identity.startswith(BEFORE)


Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class StoredBatch(Generic[Value]):
    """One batch as it lies in the store. `scores` is None where it is damaged."""

    identity: str
    model: str
    written_s: int
    scores: dict[bytes, Value] | None


class Codec(Protocol[Value]):
    """One kind of value as a store keeps it: how its file is laid out, and a batch's bytes."""

    @property
    def layout(self) -> Layout: ...

    def is_kept(self, value: Value) -> bool:
        """Whether it is one at all: what failed is asked for again."""
        ...

    def pack(self, query: int, scoring_id: int, values: Mapping[bytes, Value]) -> bytes: ...

    def unpack(
        self, query: int, scoring_id: int, batch: object, wanted: Collection[bytes] | None = None
    ) -> dict[bytes, Value] | None:
        """Of the `wanted` keys alone where they are given; None where a bit of the batch is not as it was written."""
        ...


class ScoreCodec:
    """Scores of a reranker."""

    layout = SCORES

    def is_kept(self, value: PairScore) -> bool:
        return value.score is not None

    def pack(self, query: int, scoring_id: int, values: Mapping[bytes, PairScore]) -> bytes:
        return pack(query, scoring_id, values)

    def unpack(
        self, query: int, scoring_id: int, batch: object, wanted: Collection[bytes] | None = None
    ) -> dict[bytes, PairScore] | None:
        records = unpack(query, scoring_id, batch)
        return None if records is None else scores_in(records, wanted)


class KeyedStore(Generic[Value]):
    """What a folder keeps of one kind, for any number of threads and processes; below called scores.

    Raises DataError where it cannot be opened or is no such store. Methods raise FILE_ERRORS where the file fails.
    `damaged` counts the batches that were met and not read. `untouched`, of one that is read: see `open_database`.
    """

    def __init__(self, folder: Path, codec: Codec[Value], *, read_only: bool = False, untouched: bool = False) -> None:
        self.codec, self.path, self.read_only = codec, folder / codec.layout.file, read_only
        self.damaged = 0
        self._scorings: dict[str, int] = {}
        self._lock = threading.Lock()
        try:
            self._database = open_database(folder, read_only=read_only, untouched=untouched, layout=codec.layout)
        except (OSError, *FILE_ERRORS) as error:
            raise DataError(
                f"{codec.layout.setting} {folder}: cannot be opened ({error}). Move it away or choose another."
            ) from error

    def __len__(self) -> int:
        return self.count()

    def lookup(self, keys: QueryKeys, since_s: float = 0.0) -> dict[bytes, Value]:
        """The scores that are known among `keys.pairs`, the newest of each, written at `since_s` (Unix s) or later."""
        wanted, found = frozenset(keys.pairs), dict[bytes, Value]()
        with self._lock:
            rows = self._database.execute(
                "SELECT id, scoring, records FROM batches WHERE query = ? AND written_s >= ? ORDER BY id",
                (keys.query, since_s),
            ).fetchall()
        for batch_id, scoring_id, batch in rows:
            if (some := self.codec.unpack(keys.query, scoring_id, batch, wanted)) is None:
                self._drop_damaged(batch_id)
            else:
                found.update(some)
        return found

    def write(self, query: int, scores: Mapping[bytes, Value], identity: str, model: str = "") -> None:
        """Keep these scores of one query; a failed pair is not one. All of them or, after a crash, none."""
        good = {key: one for key, one in scores.items() if self.codec.is_kept(one)}
        if not good:
            return
        with self._lock:
            scoring_id = self._scorings.get(identity) or self._scoring_id(identity, model)
            self._database.execute(
                "INSERT INTO batches (query, scoring, written_s, scores, records) VALUES (?, ?, ?, ?, ?)",
                (query, scoring_id, int(time.time()), len(good), self.codec.pack(query, scoring_id, good)),
            )

    def count(self, model: str | None = None, before_s: float | None = None) -> int:
        """How many scores: of a model, written before a time (Unix seconds), or all."""
        where, values = _condition(model, before_s)
        (count,) = self._database.execute(
            f"SELECT coalesce(sum(scores), 0) FROM batches WHERE {where}",  # noqa: S608
            values,
        ).fetchone()
        return int(count)

    def scorings(self) -> list[StoredScoring]:
        """What is stored, by scoring identity, in the order in which each was first met."""
        rows = self._database.execute(
            "SELECT identity, model, sum(scores), min(written_s), max(written_s)"
            " FROM batches JOIN scorings ON scorings.id = scoring GROUP BY scoring ORDER BY scoring"
        )
        return [StoredScoring(*row) for row in rows]

    def batches(self) -> Iterator[StoredBatch[Value]]:
        """Every batch, oldest first; no lock is held between two of them."""
        last = 0
        while rows := self._database.execute(
            "SELECT batches.id, query, scoring, identity, model, written_s, records"
            " FROM batches JOIN scorings ON scorings.id = scoring WHERE batches.id > ? ORDER BY batches.id LIMIT ?",
            (last, BATCHES_AT_ONCE),
        ).fetchall():
            for last, query, scoring_id, identity, model, written_s, batch in rows:  # noqa: B007
                yield StoredBatch(identity, model, written_s, self.codec.unpack(query, scoring_id, batch))

    def prune(self, model: str | None = None, before_s: float | None = None) -> int:
        """Delete what `count` counts, give its space back, and tell how many it was. Others may write meanwhile."""
        where, values = _condition(model, before_s)
        deleted = 0
        (end,) = self._database.execute("SELECT coalesce(max(id), 0) FROM batches").fetchone()
        for start in range(0, end + 1, BATCHES_AT_ONCE):
            rows = self._database.execute(
                f"DELETE FROM batches WHERE id >= ? AND id < ? AND {where} RETURNING scores",  # noqa: S608
                (start, min(start + BATCHES_AT_ONCE, end + 1), *values),
            )
            deleted += sum(scores for (scores,) in rows.fetchall())
        give_space_back(self._database)
        return deleted

    def told(self, foreseen: str) -> str | None:
        """The identity that an engine told last where this one was foreseen; None where it was that, or none told."""
        try:
            row = self._database.execute("SELECT identity FROM told WHERE foreseen = ?", (foreseen,)).fetchone()
        except sqlite3.OperationalError:  # no engine ever told another: the table is made by the first
            return None
        return None if row is None else str(row[0])

    def remember(self, foreseen: str, told: str) -> None:
        """Keep what an engine told where `foreseen` was expected: the next job foresees that."""
        with self._lock:
            self._database.execute(TOLD)
            self._database.execute("DELETE FROM told WHERE foreseen = ?", (foreseen,))
            if told != foreseen:
                self._database.execute("INSERT INTO told (foreseen, identity) VALUES (?, ?)", (foreseen, told))

    def close(self) -> None:
        self._database.close()

    def _scoring_id(self, identity: str, model: str) -> int:
        self._database.execute(
            "INSERT INTO scorings (identity, model) VALUES (?, ?) ON CONFLICT DO NOTHING", (identity, model)
        )
        (found,) = self._database.execute("SELECT id FROM scorings WHERE identity = ?", (identity,)).fetchone()
        self._scorings[identity] = int(found)
        return int(found)

    def _drop_damaged(self, batch_id: int) -> None:
        """Its scores will be written anew."""
        self.damaged += 1
        if not self.read_only:
            with self._lock:
                self._database.execute("DELETE FROM batches WHERE id = ?", (batch_id,))


class ScoreStore(KeyedStore[PairScore]):
    """The scores in a folder; `stored` is set on each that is found."""

    def __init__(self, folder: Path, *, read_only: bool = False, untouched: bool = False) -> None:
        super().__init__(folder, ScoreCodec(), read_only=read_only, untouched=untouched)


def _condition(model: str | None, before_s: float | None) -> tuple[str, list[object]]:
    conditions, values = ["TRUE"], list[object]()
    if model is not None:
        conditions.append("scoring IN (SELECT id FROM scorings WHERE model = ?)")
        values.append(model)
    if before_s is not None:
        conditions.append("written_s < ?")
        values.append(before_s)
    return " AND ".join(conditions), values
