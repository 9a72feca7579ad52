"""What a score is found by, and the bytes in which a query's scores are kept."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from stages.core.records import PairScore
from stages.core.scoring import sigmoid

# Key, the number that ranks (float32, as engines give it), prompt tokens, flags: 23 bytes a score.
RECORD = struct.Struct("<16sfHB")
CHECKSUM = struct.Struct("<I")
TRUNCATED, IS_LOGIT = 1, 2
MOST_TOKENS = 0xFFFF


@dataclass(frozen=True, slots=True)
class QueryKeys:
    """Where a query's scores lie: `query` (64 bits, signed) finds its batches, `pairs` (128 bits each) its scores.

    `pairs` is parallel to the documents. `query` only brings the scores of a query together; what decides is the
    pair's key, a hash of everything.
    """

    query: int
    pairs: tuple[bytes, ...]


def query_keys(
    scoring: str, instruction: str | None, query: str, documents: Sequence[str], *, listwise: bool = False
) -> QueryKeys:
    """Keys that differ where anything that decides a score differs.

    `scoring` stands for the model, its prompt and its limits. Each part is preceded by its length, so that no two
    different quadruples read the same. `listwise`: a score belongs to its place in the whole list of documents.
    """
    start = hashlib.blake2b(digest_size=16)
    for part in (scoring, instruction, query):
        start.update(_framed(part))
    pairs = []
    listed = _list_digest(documents) if listwise else b""
    for place, document in enumerate(documents):
        pair = start.copy()
        pair.update(_framed(document))
        if listwise:
            pair.update(listed + struct.pack("<q", place))
        pairs.append(pair.digest())
    return QueryKeys(int.from_bytes(start.digest()[:8], "little", signed=True), tuple(pairs))


def pack(query: int, scoring_id: int, scores: Mapping[bytes, PairScore]) -> bytes:
    """The records of one batch, led by a checksum over them and over whose they are."""
    records = b"".join([_record(key, pair) for key, pair in scores.items()])
    return CHECKSUM.pack(_checksum(query, scoring_id, records)) + records


def unpack(query: int, scoring_id: int, batch: object) -> bytes | None:
    """The records of a batch that `pack` made; None where a single bit of it is not as it was written."""
    if not isinstance(batch, bytes) or len(batch) % RECORD.size != CHECKSUM.size:
        return None
    records = batch[CHECKSUM.size :]
    return records if CHECKSUM.unpack_from(batch)[0] == _checksum(query, scoring_id, records) else None


def scores_in(records: bytes, wanted: Collection[bytes] | None = None) -> dict[bytes, PairScore]:
    """The score of each record, of the `wanted` keys alone where they are given."""
    return {
        key: PairScore(
            sigmoid(number) if flags & IS_LOGIT else number,
            number if flags & IS_LOGIT else None,
            prompt_tokens=tokens,
            truncated=flags & TRUNCATED != 0,
            stored=True,
        )
        for key, number, tokens, flags in RECORD.iter_unpack(records)
        if wanted is None or key in wanted
    }


def _list_digest(documents: Sequence[str]) -> bytes:
    """Of all documents in their order."""
    listed = hashlib.blake2b(digest_size=16)
    for document in documents:
        listed.update(_framed(document))
    return listed.digest()


def _framed(part: str | None) -> bytes:
    encoded = b"" if part is None else part.encode("utf-8", "surrogatepass")
    return struct.pack("<q", -1 if part is None else len(encoded)) + encoded


def _record(key: bytes, pair: PairScore) -> bytes:
    flags = TRUNCATED * pair.truncated | IS_LOGIT * (pair.logit is not None)
    number = pair.score if pair.logit is None else pair.logit
    return RECORD.pack(key, number, min(pair.prompt_tokens, MOST_TOKENS), flags)


def _checksum(query: int, scoring_id: int, records: bytes) -> int:
    return zlib.crc32(records, zlib.crc32(struct.pack("<qq", query, scoring_id)))
