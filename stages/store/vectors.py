"""The vectors of an embedding model's documents, beside the scores: another experiment over the same documents, with
other queries or to a greater depth, embeds only what is new.

A row is a document: its text's key, and a vector for each prompt that it is read in. A damaged one is never read. What
is kept are keys and numbers, no texts.
"""

from __future__ import annotations

import struct
import threading
import time
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stages.core.errors import DataError
from stages.core.vectors import KEY_BYTES, Floats, Vectors
from stages.store.file import FILE_ERRORS, Layout, give_space_back, open_database

VECTORS = Layout(
    file="vectors.sqlite",
    number=1,
    schema=(
        "CREATE TABLE models (id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, model TEXT NOT NULL)",
        """CREATE TABLE documents (id INTEGER PRIMARY KEY, text INTEGER NOT NULL, model INTEGER NOT NULL,
        written_s INTEGER NOT NULL, vectors BLOB NOT NULL)""",
        "CREATE INDEX by_text ON documents (text, model, written_s)",
    ),
    ends="SELECT max(id), (SELECT text FROM documents ORDER BY text LIMIT 1) FROM documents",
)
# Of a row: the whole text's key, how many vectors, of how many numbers each. Then their keys, and the numbers.
HEAD = struct.Struct("<16sHI")
CHECKSUM = struct.Struct("<I")
NUMBERS = np.dtype("<f4")
AT_ONCE = 500  # texts in one statement


@dataclass(frozen=True, slots=True)
class StoredVectors:
    """How many documents' vectors a file holds, and its size."""

    documents: int
    bytes: int


class VectorStore:
    """The vectors in a folder, for any number of threads and processes. No more are written where the file has
    `most_bytes`; `full` tells.

    Raises DataError where it cannot be opened or is of another version. Methods raise FILE_ERRORS where the file fails.
    `damaged` counts the rows that were met and not read. `model` is the model's name for people, `untouched` as
    `open_database` has it.
    """

    def __init__(self, folder: Path, most_bytes: int, *, read_only: bool = False, untouched: bool = False) -> None:
        self.path, self.most_bytes, self.read_only = folder / VECTORS.file, most_bytes, read_only
        self.damaged, self.full = 0, False
        self._models: dict[str, int] = {}
        self._lock = threading.Lock()
        try:
            self._database = open_database(folder, read_only=read_only, untouched=untouched, layout=VECTORS)
        except (OSError, *FILE_ERRORS) as error:
            raise DataError(f"{self.path}: cannot be opened ({error}). Move it away.") from error

    def lookup(self, texts: Collection[bytes]) -> dict[bytes, dict[bytes, Floats]]:
        """The vectors of those texts, by their keys, that have some."""
        numbers = {_number(text): text for text in texts}
        found: dict[bytes, dict[bytes, Floats]] = {}
        wanted = list(numbers)
        for start in range(0, len(wanted), AT_ONCE):
            some = wanted[start : start + AT_ONCE]
            marks = ",".join("?" * len(some))
            with self._lock:
                rows = self._database.execute(
                    f"SELECT id, text, vectors FROM documents WHERE text IN ({marks})",  # noqa: S608
                    some,
                ).fetchall()
            for row, number, packed in rows:
                if (one := unpack(packed)) is None:
                    self._drop_damaged(row)
                elif one[0] == numbers[number]:
                    found[one[0]] = one[1]
        return found

    def write(self, vectors: Mapping[bytes, Vectors], identity: str, model: str = "") -> bool:
        """Keep the vectors of texts, by their keys; all of them or, after a crash, none. Gives whether there was room:
        what is there already, and beyond the bound, is not written.
        """
        with self._lock:
            self.full = self._size() >= self.most_bytes
            if self.full or not vectors:
                return not self.full
            now = int(time.time())
            self._database.execute("BEGIN IMMEDIATE")
            try:
                number = self._models.get(identity) or self._model_id(identity, model)
                self._database.executemany(
                    "INSERT INTO documents (text, model, written_s, vectors) SELECT ?1, ?2, ?3, ?4"
                    " WHERE NOT EXISTS (SELECT 1 FROM documents WHERE text = ?1)",
                    [(_number(text), number, now, pack(text, one)) for text, one in vectors.items()],
                )
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")
            self._models[identity] = number
        return True

    def stats(self) -> StoredVectors:
        (documents,) = self._database.execute("SELECT count(*) FROM documents").fetchone()
        return StoredVectors(int(documents), self._size())

    def prune(self, model: str | None = None, before_s: float | None = None) -> int:
        """Delete those of a model, written before a time (Unix seconds), or all, and give their space back; tells of
        how many documents. Others may write meanwhile.
        """
        conditions, values = ["TRUE"], list[object]()
        if model is not None:
            conditions.append("model IN (SELECT id FROM models WHERE model = ?)")
            values.append(model)
        if before_s is not None:
            conditions.append("written_s < ?")
            values.append(before_s)
        deleted = 0
        (end,) = self._database.execute("SELECT coalesce(max(id), 0) FROM documents").fetchone()
        for start in range(0, end + 1, AT_ONCE):
            deleted += self._database.execute(
                f"DELETE FROM documents WHERE id >= ? AND id < ? AND {' AND '.join(conditions)}",  # noqa: S608
                (start, min(start + AT_ONCE, end + 1), *values),
            ).rowcount
        give_space_back(self._database)
        return deleted

    def close(self) -> None:
        self._database.close()

    def _size(self) -> int:
        """Bytes of the file, without pages that are free."""
        (pages,) = self._database.execute("PRAGMA page_count").fetchone()
        (free,) = self._database.execute("PRAGMA freelist_count").fetchone()
        (size,) = self._database.execute("PRAGMA page_size").fetchone()
        return int((pages - free) * size)

    def _model_id(self, identity: str, model: str) -> int:
        self._database.execute(
            "INSERT INTO models (identity, model) VALUES (?, ?) ON CONFLICT DO NOTHING", (identity, model)
        )
        (found,) = self._database.execute("SELECT id FROM models WHERE identity = ?", (identity,)).fetchone()
        return int(found)

    def _drop_damaged(self, row: int) -> None:
        self.damaged += 1
        if not self.read_only:
            with self._lock:
                self._database.execute("DELETE FROM documents WHERE id = ?", (row,))


def pack(text: bytes, vectors: Vectors) -> bytes:
    """A row's vectors, led by a checksum. `unpack` is its inverse."""
    numbers = np.stack(list(vectors.values())).astype(NUMBERS)
    packed = HEAD.pack(text, *numbers.shape) + b"".join(vectors) + numbers.tobytes()
    return CHECKSUM.pack(zlib.crc32(packed)) + packed


def unpack(row: object) -> tuple[bytes, dict[bytes, Floats]] | None:
    """The text's key and its vectors; None where a bit of it is not as it was written."""
    if not isinstance(row, bytes) or len(row) < CHECKSUM.size + HEAD.size:
        return None
    packed = memoryview(row)[CHECKSUM.size :]
    text, count, size = HEAD.unpack_from(packed)
    if len(packed) != HEAD.size + count * (KEY_BYTES + size * NUMBERS.itemsize):
        return None
    if CHECKSUM.unpack_from(row)[0] != zlib.crc32(packed):
        return None
    start = HEAD.size + count * KEY_BYTES
    keys = [bytes(packed[place : place + KEY_BYTES]) for place in range(HEAD.size, start, KEY_BYTES)]
    numbers = np.frombuffer(packed[start:], NUMBERS).reshape(count, size)
    return text, dict(zip(keys, numbers, strict=True))


def _number(text: bytes) -> int:
    """What finds a text; its whole key decides."""
    return int.from_bytes(text[:8], "little", signed=True)


def is_there(folder: Path) -> bool:
    return (folder / VECTORS.file).exists()
