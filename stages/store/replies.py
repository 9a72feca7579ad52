"""Replies of a judge, kept as scores are: what was asked once is not asked, nor paid for, again.

What is kept is the reply and not the grade: whoever reads it may read it otherwise later.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path

from stages.core.grades import Reply
from stages.store.file import SCHEMA, Layout
from stages.store.store import KeyedStore

REPLIES = Layout(
    file="replies.sqlite",
    number=1,
    schema=SCHEMA,
    ends="SELECT max(id), (SELECT query FROM batches ORDER BY query LIMIT 1) FROM batches",
    setting="judge.store",
)
CHECKSUM = struct.Struct("<I")


class ReplyCodec:
    """A batch is JSON, compressed, led by a checksum over it and over whose it is."""

    layout = REPLIES

    def is_kept(self, value: Reply) -> bool:
        return not value.failed

    def pack(self, query: int, scoring_id: int, values: Mapping[bytes, Reply]) -> bytes:
        rows = {key.hex(): asdict(reply) for key, reply in values.items()}
        packed = zlib.compress(json.dumps(rows, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace"))
        return CHECKSUM.pack(_checksum(query, scoring_id, packed)) + packed

    def unpack(
        self, query: int, scoring_id: int, batch: object, wanted: Collection[bytes] | None = None
    ) -> dict[bytes, Reply] | None:
        if not isinstance(batch, bytes) or len(batch) <= CHECKSUM.size:
            return None
        packed = batch[CHECKSUM.size :]
        if CHECKSUM.unpack_from(batch)[0] != _checksum(query, scoring_id, packed):
            return None
        rows = ((bytes.fromhex(key), row) for key, row in json.loads(zlib.decompress(packed)).items())
        return {key: reply_from(row) for key, row in rows if wanted is None or key in wanted}


class ReplyStore(KeyedStore[Reply]):
    """The replies in a folder."""

    def __init__(self, folder: Path, *, read_only: bool = False, untouched: bool = False) -> None:
        super().__init__(folder, ReplyCodec(), read_only=read_only, untouched=untouched)


def reply_from(row: Mapping[str, object]) -> Reply:
    """The inverse of `asdict`, of JSON, which has no tuples."""
    fields: dict[str, object] = {**row, "probabilities": tuple(row["probabilities"])}  # type: ignore[arg-type]
    return Reply(**fields)  # type: ignore[arg-type]


def _checksum(query: int, scoring_id: int, packed: bytes) -> int:
    return zlib.crc32(packed, zlib.crc32(struct.pack("<qq", query, scoring_id)))
