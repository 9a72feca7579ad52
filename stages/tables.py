"""Candidates and set-aside rows as Arrow tables and Parquet: explicit schemas, and the way there and back."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from stages.errors import DataError
from stages.records import Candidates, SetAside

T = TypeVar("T")

# Texts are large_string: `string` overflows at 2 GiB a chunk.
SCHEMA = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("query", pa.string(), nullable=False),
        pa.field("instruction", pa.string()),
        pa.field("doc_ids", pa.list_(pa.string())),
        pa.field("texts", pa.list_(pa.large_string())),
        pa.field("scores", pa.list_(pa.float64())),
        pa.field("tail", pa.list_(pa.string())),
        pa.field("attributes", pa.map_(pa.string(), pa.string())),
    ]
)

FAILURES_SCHEMA = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("query_id", pa.string()),
        pa.field("doc_id", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
    ]
)

FAILURES_PER_BATCH = 10_000


@dataclass(frozen=True, slots=True)
class CandidatesManifest:
    """What a candidates folder holds. `pairs` counts the documents to rerank, without the tails.

    `digest` is a SHA-256 over the content alone: however it is cut into files, and in whatever order the queries come,
    the same candidates have the same digest.
    """

    queries: int
    pairs: int
    digest: str
    mean_documents: float
    max_documents: int


def to_table(candidates: Sequence[Candidates]) -> pa.Table:
    """One row per query, in the given order, with SCHEMA; `from_table` is its exact inverse."""
    columns = {
        "query_id": [item.query_id for item in candidates],
        "query": [item.query for item in candidates],
        "instruction": [item.instruction for item in candidates],
        "doc_ids": [item.doc_ids for item in candidates],
        "texts": [item.texts for item in candidates],
        "scores": [item.scores for item in candidates],
        "tail": [item.tail for item in candidates],
        "attributes": [list(item.attributes.items()) for item in candidates],
    }
    return pa.table(columns, schema=SCHEMA)


def from_table(table: pa.Table) -> list[Candidates]:
    """The queries of a table that `to_table` made, whatever its chunks; further columns are ignored."""
    rows = zip(*(table.column(name).to_pylist() for name in SCHEMA.names), strict=True)
    return [
        Candidates(
            query_id=query_id,
            query=query,
            instruction=instruction,
            doc_ids=tuple(doc_ids),
            texts=tuple(texts),
            scores=tuple(scores),
            tail=tuple(tail),
            attributes=dict(attributes),
        )
        for query_id, query, instruction, doc_ids, texts, scores, tail, attributes in rows
    ]


def failures_table(rows: Sequence[SetAside]) -> pa.Table:
    """One row per set-aside row, with FAILURES_SCHEMA. What UTF-8 cannot hold is written escaped, as `\\udc80`."""
    columns = {
        "file": [_encodable(row.where.file) for row in rows],
        "line": [row.where.line for row in rows],
        "query_id": [_encodable(row.query_id) for row in rows],
        "doc_id": [_encodable(row.doc_id) for row in rows],
        "reason": [_encodable(row.reason) for row in rows],
    }
    return pa.table(columns, schema=FAILURES_SCHEMA)


def write_candidates(candidates: Iterable[Candidates], folder: Path, rows_per_file: int = 256) -> CandidatesManifest:
    """Write `folder`/part-00000.parquet, ... and say what they hold; one file's rows are in memory at a time.

    The folder appears, or takes the place of an earlier one, when it is complete. Raises DataError where there is no
    candidate at all and where the folder cannot be written.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    counter = _Counter()
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for number, rows in enumerate(_batches(candidates, rows_per_file)):
            pq.write_table(to_table(rows), partial / f"part-{number:05d}.parquet")
            counter.add(rows)
        manifest = counter.manifest()
        _swap_in(partial, folder)
    except OSError as error:
        raise DataError(
            f"cannot write candidates to {folder}: {error}; free it or choose another output.dir"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def read_candidates(folder: Path) -> Iterator[Candidates]:
    """The queries of a folder that `write_candidates` made, in the order they were written.

    Raises DataError where the folder is missing or a file in it cannot be read.
    """
    files = sorted(folder.glob("part-*.parquet"))
    if not files:
        raise DataError(f"{folder} holds no candidates; run the job again to write them")
    for file in files:
        try:
            rows = from_table(pq.read_table(file, partitioning=None))
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise DataError(f"cannot read candidates from {file}: {error}; remove the folder and run again") from error
        yield from rows


def write_failures(rows: Iterable[SetAside], path: Path) -> None:
    """Write what was set aside as one Parquet file, complete or not at all; without rows it holds the columns alone.

    Raises DataError where the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(partial, FAILURES_SCHEMA) as writer:
            for batch in _batches(rows, FAILURES_PER_BATCH):
                writer.write_table(failures_table(batch))
        partial.replace(path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error}; free it or choose another output.dir") from error
    finally:
        partial.unlink(missing_ok=True)


class _Counter:
    """Adds up a manifest; keeps 32 bytes a query, since sorted digests make the whole independent of query order."""

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._digests: list[bytes] = []

    def add(self, rows: Sequence[Candidates]) -> None:
        self._sizes += [len(row.doc_ids) for row in rows]
        self._digests += [hashlib.sha256(_canonical(row)).digest() for row in rows]

    def manifest(self) -> CandidatesManifest:
        if not self._sizes:
            raise DataError("nothing left to rerank: every query was set aside, for the reasons in failures.parquet")
        return CandidatesManifest(
            queries=len(self._sizes),
            pairs=sum(self._sizes),
            digest=hashlib.sha256(b"".join(sorted(self._digests))).hexdigest(),
            mean_documents=sum(self._sizes) / len(self._sizes),
            max_documents=max(self._sizes),
        )


def _canonical(row: Candidates) -> bytes:
    attributes = sorted(row.attributes.items())
    content = [row.query_id, row.query, row.instruction, row.doc_ids, row.texts, row.scores, row.tail, attributes]
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")


def _swap_in(partial: Path, folder: Path) -> None:
    """A rename cannot replace a folder that holds files, so an earlier one steps aside first."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _encodable(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "backslashreplace").decode("utf-8")
