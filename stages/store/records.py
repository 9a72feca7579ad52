"""What a score is found by, and the bytes in which a query's scores are kept."""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stages.core.records import PairScore
from stages.core.scoring import sigmoid

# Key, the number that ranks (float32, as engines give it), prompt tokens, flags: 23 bytes a score.
RECORD = struct.Struct("<16sfHB")
# Of a batch in which a score is no sigmoid of its logit, or a document was read in passages: more tokens, how many
# passages, the first one's number, and both scores.
LONG_RECORD = struct.Struct("<16sfIBHfdd")
CHECKSUM = struct.Struct("<I")
TRUNCATED, IS_LOGIT = 1, 2
MOST_TOKENS, MOST_TOKENS_OF_PASSAGES, MOST_PASSAGES = 0xFFFF, 0xFFFFFFFF, 0xFFFF


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


class Records(NamedTuple):
    """The records of one batch, and how they are laid out."""

    layout: struct.Struct
    packed: bytes


def pack(query: int, scoring_id: int, scores: Mapping[bytes, PairScore]) -> bytes:
    """The records of one batch, led by a checksum over them, over whose they are and how they are laid out."""
    layout = RECORD if all(map(_is_short, scores.values())) else LONG_RECORD
    record = _record if layout is RECORD else _long_record
    records = Records(layout, b"".join([record(key, pair) for key, pair in scores.items()]))
    return CHECKSUM.pack(_checksum(query, scoring_id, records)) + records.packed


def unpack(query: int, scoring_id: int, batch: object) -> Records | None:
    """The records of a batch that `pack` made; None where a single bit of it is not as it was written."""
    if not isinstance(batch, bytes):
        return None
    for layout in (RECORD, LONG_RECORD):
        records = Records(layout, batch[CHECKSUM.size :])
        whole = len(batch) % layout.size == CHECKSUM.size
        if whole and CHECKSUM.unpack_from(batch)[0] == _checksum(query, scoring_id, records):
            return records
    return None


def scores_in(records: Records, wanted: Collection[bytes] | None = None) -> dict[bytes, PairScore]:
    """The score of each record, of the `wanted` keys alone where they are given."""
    read = _short_pair if records.layout is RECORD else _long_pair
    return {
        key: read(*values)
        for key, *values in records.layout.iter_unpack(records.packed)
        if wanted is None or key in wanted
    }


def _list_digest(documents: Sequence[str]) -> bytes:
    """Of all documents in their order."""
    listed = hashlib.blake2b(digest_size=16)
    for document in documents:
        listed.update(_framed(document))
    return listed.digest()


def _short_pair(number: float, tokens: int, flags: int) -> PairScore:
    return PairScore(
        sigmoid(number) if flags & IS_LOGIT else number,
        number if flags & IS_LOGIT else None,
        prompt_tokens=tokens,
        truncated=flags & TRUNCATED != 0,
        stored=True,
    )


def _long_pair(
    number: float, tokens: int, flags: int, passages: int, cut_number: float, score: float, cut_score: float
) -> PairScore:
    is_logit, several = flags & IS_LOGIT, passages > 1
    return PairScore(
        score if is_logit else number,
        number if is_logit else None,
        prompt_tokens=tokens,
        truncated=flags & TRUNCATED != 0,
        stored=True,
        passages=passages,
        cut_score=(cut_score if is_logit else cut_number) if several else None,
        cut_logit=cut_number if is_logit and several else None,
    )


def _is_short(pair: PairScore) -> bool:
    """Whether all of it fits into a short record."""
    return pair.passages == 1 and (pair.logit is None or pair.score is None or pair.score == sigmoid(pair.logit))


def _framed(part: str | None) -> bytes:
    encoded = b"" if part is None else part.encode("utf-8", "surrogatepass")
    return struct.pack("<q", -1 if part is None else len(encoded)) + encoded


def _record(key: bytes, pair: PairScore) -> bytes:
    number = pair.score if pair.logit is None else pair.logit
    return RECORD.pack(key, number, min(pair.prompt_tokens, MOST_TOKENS), _flags(pair))


def _long_record(key: bytes, pair: PairScore) -> bytes:
    score = pair.score or 0.0
    number, cut_score = (score if pair.logit is None else pair.logit), (pair.cut_score or 0.0)
    cut_number = cut_score if pair.cut_logit is None else pair.cut_logit
    tokens, passages = min(pair.prompt_tokens, MOST_TOKENS_OF_PASSAGES), min(pair.passages, MOST_PASSAGES)
    return LONG_RECORD.pack(key, number, tokens, _flags(pair), passages, cut_number, score, cut_score)


def _flags(pair: PairScore) -> int:
    return TRUNCATED * pair.truncated | IS_LOGIT * (pair.logit is not None)


def _checksum(query: int, scoring_id: int, records: Records) -> int:
    """One layout's is never taken for the other's."""
    whose = struct.pack("<qq", query, scoring_id) + (b"" if records.layout is RECORD else b"long")
    return zlib.crc32(records.packed, zlib.crc32(whose))
