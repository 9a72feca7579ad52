"""The texts of the documents that a run asks for, as one memory-mapped Arrow file.

The corpus streams by once. In memory stay 24 bytes a document (the hash of its id, its row) and a part of the mapped
file: its pages count as the process's own as long as they are mapped, so they are let go from time to time. The page
cache keeps them.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stages.core.prepare import Report, is_encodable
from stages.core.records import Location, RawDocument
from stages.sources.id_set import IdSet
from stages.sources.lines import Record
from stages.sources.temporary import temporary_folder, writing_temporary_files
from stages.sources.texts import document_text, duplicate, read_records, record_id

DOCUMENT_IDS = ("_id", "id", "doc_id")
DOCUMENTS_PER_BATCH = 1024
CHARACTERS_PER_BATCH = 2**23
READS_PER_RELEASE = 128

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.large_string()),
        pa.field("unusable", pa.string()),  # as JSON, where the text is no string that UTF-8 can hold
        pa.field("line", pa.int64(), nullable=False),
    ]
)


class Corpus:
    """The documents of a file that `_Writer` wrote, by id."""

    def __init__(self, file: Path, source: Path, wanted: IdSet, rows: npt.NDArray[np.int64]) -> None:
        self._source, self._wanted, self._rows = str(source), wanted, rows
        with file.open("rb") as opened:
            self._map = mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ)
        table = pa.ipc.open_file(pa.py_buffer(self._map)).read_all()
        self._ids, self._texts, self._unusable, self._lines = (table.column(name) for name in SCHEMA.names)
        self._reads = 0

    def __len__(self) -> int:
        """How many of the wanted documents it has."""
        return len(self._ids)

    def join(self, document: RawDocument) -> RawDocument:
        """The document with its text, or as it is where the corpus lacks it.

        A text that cannot be used is reported where it stands, everything else where the run names the document.
        """
        row = self._row(str(document.doc_id))
        if row is None:
            return document
        text, where = self._texts[row].as_py(), document.where
        if text is None:
            text = json.loads(self._unusable[row].as_py())
        if not isinstance(text, str) or not text.strip():
            where = Location(self._source, self._lines[row].as_py())
        return RawDocument(document.doc_id, text, document.score, where)

    def _row(self, doc_id: str) -> int | None:
        """Ids are compared as well as their hashes: two that share one never share a text."""
        place = self._wanted.place(doc_id)
        if place is None or self._rows[place] < 0:
            return None
        self._reads += 1
        if self._reads % READS_PER_RELEASE == 0:
            self._map.madvise(mmap.MADV_DONTNEED)
        row = int(self._rows[place])
        return row if self._ids[row].as_py() == doc_id else None


@contextmanager
def open_corpus(path: Path, wanted: IdSet, set_aside: Report) -> Iterator[Corpus]:
    """The wanted documents of a corpus, in a temporary file that is removed at the end.

    Raises DataError where the corpus cannot be read or the temporary file not be written.
    """
    with temporary_folder() as folder:
        file = folder / "corpus.arrow"
        with writing_temporary_files():
            rows = _write(read_records(path, set_aside), file, wanted, set_aside)
            corpus = Corpus(file, path, wanted, rows)
        yield corpus


def _write(records: Iterable[Record], file: Path, wanted: IdSet, set_aside: Report) -> npt.NDArray[np.int64]:
    """Write the wanted documents; the row of each by its place in `wanted`, -1 where the corpus lacks it.

    A document without an id, or with a wanted one that was met, is set aside.
    """
    rows = np.full(len(wanted), -1, dtype=np.int64)
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        batch = _Batch()
        written = 0
        for record in records:
            doc_id = record_id(record, DOCUMENT_IDS, set_aside)
            place = None if doc_id is None else wanted.place(doc_id)
            if doc_id is None or place is None:
                continue
            if rows[place] >= 0:
                set_aside(duplicate(record, doc_id))
                continue
            rows[place] = written
            written += 1
            batch.add(doc_id, record)
            if batch.full:
                writer.write_batch(batch.arrow())
                batch = _Batch()
        writer.write_batch(batch.arrow())
    return rows


class _Batch:
    """Documents on their way to the file."""

    def __init__(self) -> None:
        self._columns: dict[str, list[object]] = {name: [] for name in SCHEMA.names}
        self._characters = 0

    @property
    def full(self) -> bool:
        return len(self._columns["id"]) >= DOCUMENTS_PER_BATCH or self._characters >= CHARACTERS_PER_BATCH

    def add(self, doc_id: str, record: Record) -> None:
        text = document_text(record.fields.get("title"), record.fields.get("text"))
        usable = isinstance(text, str) and is_encodable(text)
        row = (doc_id, text if usable else None, None if usable else _as_json(text), record.where.line)
        for column, value in zip(self._columns.values(), row, strict=True):
            column.append(value)
        self._characters += len(text) if isinstance(text, str) else 0

    def arrow(self) -> pa.RecordBatch:
        return pa.record_batch(self._columns, schema=SCHEMA)


def _as_json(value: object) -> str:
    """Of what is no text, a list or an object is kept empty: it is only asked for its kind."""
    return json.dumps(value if isinstance(value, str | int | float) else type(value)())
