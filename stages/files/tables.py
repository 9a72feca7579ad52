"""Candidates as Arrow tables and Parquet: an explicit schema, and the way there and back."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.core.errors import DataError
from stages.core.records import Candidates
from stages.files.manifest import CandidatesManifest, ManifestCounter

WITHOUT_TEXTS = (
    "holds ids and digests, no texts: the job ran with output.texts: false. Run it again, with true, if you need them"
)
# Of the candidates' texts: whoever reads a file has all of it in memory, several times over.
CHARACTERS_PER_FILE = 4_000_000
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
        pa.field("listed", pa.list_(pa.string())),
        pa.field("order_only", pa.bool_()),
    ]
)
# Columns that earlier versions did not write, and what stands for them there.
ADDED = {"listed": (), "order_only": False}


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
        "listed": [item.listed for item in candidates],
        "order_only": [item.order_only for item in candidates],
    }
    return pa.table(columns, schema=SCHEMA)


def from_table(table: pa.Table) -> list[Candidates]:
    """The queries of a table that `to_table` made, or an earlier version's, which had fewer columns; whatever its
    chunks. Further columns are ignored.
    """
    rows = zip(*(column_of(table, name) for name in SCHEMA.names), strict=True)
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
            listed=tuple(listed),
            order_only=order_only,
        )
        for query_id, query, instruction, doc_ids, texts, scores, tail, attributes, listed, order_only in rows
    ]


def column_of(table: pa.Table, name: str) -> list[Any]:
    """As a list; one that an earlier version did not write as what stands for it."""
    if name in ADDED and name not in table.column_names:
        return [ADDED[name]] * table.num_rows
    return list(table.column(name).to_pylist())


class CandidatesWriter:
    """Writes `folder`/part-00000.parquet, ... query by query; one file's rows are in memory at a time, for readers too.

    The folder appears, or takes the place of an earlier one, when it is finished; without that nothing is left of it.
    """

    def __init__(self, folder: Path, rows_per_file: int = 256) -> None:
        self._folder, self._partial = folder, folder.with_name(f".{folder.name}.partial")
        self._rows_per_file, self._files = rows_per_file, 0
        self._rows: list[Candidates] = []
        self._characters = 0
        self._counter = ManifestCounter()

    def __enter__(self) -> CandidatesWriter:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self._partial, ignore_errors=True)

    def add(self, candidates: Candidates) -> None:
        """Raises DataError where the folder cannot be written."""
        self._rows.append(candidates)
        self._characters += sum(map(len, candidates.texts))
        if len(self._rows) == self._rows_per_file or self._characters >= CHARACTERS_PER_FILE:
            self._flush()

    def finish(self) -> CandidatesManifest:
        """What was written. Raises DataError where that is no candidate at all."""
        self._flush()
        manifest = self._counter.manifest()
        with writing(self._folder):
            _swap_in(self._partial, self._folder)
        return manifest

    def _flush(self) -> None:
        if not self._rows:
            return
        with writing(self._folder):
            if not self._files:
                shutil.rmtree(self._partial, ignore_errors=True)
                self._partial.mkdir(parents=True)
            pq.write_table(to_table(self._rows), self._partial / f"part-{self._files:05d}.parquet")
        self._counter.add(self._rows)
        self._files, self._rows, self._characters = self._files + 1, [], 0


def write_candidates(candidates: Iterable[Candidates], folder: Path, rows_per_file: int = 256) -> CandidatesManifest:
    """All of them through a CandidatesWriter, with its errors."""
    with CandidatesWriter(folder, rows_per_file) as writer:
        for one in candidates:
            writer.add(one)
        return writer.finish()


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """An OSError within becomes a DataError that names the folder of candidates."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"cannot write candidates to {folder}: {error}; free it or choose another output.dir"
        ) from error


def read_candidates(folder: Path) -> Iterator[Candidates]:
    """The queries of a folder that `write_candidates` made, in the order they were written.

    Raises DataError where the folder is missing, a file in it cannot be read, or it was left without texts.
    """
    for file in part_files(folder):
        with readable(file):
            table = pq.read_table(file, partitioning=None)
            if "text_digests" in table.column_names:
                raise DataError(f"{folder} {WITHOUT_TEXTS}")
            rows = from_table(table)
        yield from rows


def part_files(folder: Path) -> list[Path]:
    """Those of a folder of candidates, in order. Raises DataError where there are none."""
    files = sorted(folder.glob("part-*.parquet"))
    if not files:
        raise DataError(f"{folder} holds no candidates; run the job again to write them")
    return files


@contextlib.contextmanager
def readable(file: Path) -> Iterator[None]:
    """What of the file cannot be read within becomes a DataError that names it."""
    try:
        yield
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise DataError(f"cannot read candidates from {file}: {error}; remove the folder and run again") from error


def _swap_in(partial: Path, folder: Path) -> None:
    """A rename cannot replace a folder that holds files, so an earlier one steps aside first."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    partial.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
