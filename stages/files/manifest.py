"""What a folder of candidates holds, counted and digested while it is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from stages.core.listed import ListCounts
from stages.core.records import Candidates


@dataclass(frozen=True, slots=True)
class CandidatesManifest:
    """What a candidates folder holds. `pairs` counts the documents to rerank, without the tails; `counts` tell more.

    `digest` is a SHA-256 over the content alone: however it is cut into files, and in whatever order the queries come,
    the same candidates have the same digest. `lists_digest` covers the queries and the whole lists of ids alone: it is
    the same at every depth.
    """

    queries: int
    pairs: int
    digest: str
    lists_digest: str
    counts: ListCounts = field(default_factory=ListCounts)


class ManifestCounter:
    """Adds up a manifest; keeps 64 bytes a query, since sorted digests make the whole independent of query order."""

    def __init__(self) -> None:
        self._counts = ListCounts()
        self._digests: list[bytes] = []
        self._lists: list[bytes] = []

    def add(self, rows: Sequence[Candidates]) -> None:
        for row in rows:
            self._counts.add(row)
        self._digests += [hashlib.sha256(_canonical(row)).digest() for row in rows]
        self._lists += [hashlib.sha256(_canonical_list(row)).digest() for row in rows]

    def manifest(self) -> CandidatesManifest:
        """Raises NothingLeftError where nothing is left to rerank."""
        self._counts.require_pairs()
        return CandidatesManifest(
            queries=self._counts.queries,
            pairs=self._counts.pairs,
            digest=hashlib.sha256(b"".join(sorted(self._digests))).hexdigest(),
            lists_digest=hashlib.sha256(b"".join(sorted(self._lists))).hexdigest(),
            counts=self._counts,
        )


def _canonical(row: Candidates) -> bytes:
    """Lists without a gap have the digests that they had before gaps were told."""
    attributes = sorted(row.attributes.items())
    content: list[object] = [
        row.query_id,
        row.query,
        row.instruction,
        row.doc_ids,
        row.texts,
        row.scores,
        row.tail,
        attributes,
    ]
    return _as_json([*content, row.listed] if row.listed else content)


def _canonical_list(row: Candidates) -> bytes:
    return _as_json([row.query_id, row.query, row.instruction, row.first_stage()])


def _as_json(content: list[object]) -> bytes:
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
