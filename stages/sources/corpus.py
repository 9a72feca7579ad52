"""The texts of the documents that a run asks for, one after the other in a temporary file.

The corpus streams by once. In memory stay 24 bytes a document: the hash of its id, and where it begins in the file. A
text is read with one call: memory that is mapped counts as the process's own, and letting go of it is dearer.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from stages.core.errors import DataError
from stages.core.prepare import Report, is_encodable
from stages.core.records import Location, RawDocument, SetAside
from stages.sources.id_set import IdSet
from stages.sources.lines import Record
from stages.sources.temporary import temporary_folder, writing_temporary_files
from stages.sources.text_keys import DOCUMENTS
from stages.sources.texts import duplicate, record_id

# Before each document: bytes of its id, bytes of its text, its line, and whether the text is one; else it is JSON.
HEADER = struct.Struct("<IQq?")
READ_BYTES = 1 << 12  # holds most documents


class Corpus:
    """The documents of a file that `_write` wrote, by id.

    `starts[place]` is where the document at that place in `wanted` begins, -1 where the corpus lacks it; the last one
    more is that of no place.
    """

    def __init__(self, file: int, source: str, wanted: IdSet, starts: npt.NDArray[np.int64]) -> None:
        self._file, self._source, self._wanted, self._starts = file, source, wanted, starts

    def __len__(self) -> int:
        """How many of the wanted documents it has."""
        return int(np.count_nonzero(self._starts >= 0))

    def join(self, documents: Iterable[RawDocument]) -> tuple[RawDocument, ...]:
        """The documents with their texts, or as they are where the corpus lacks them.

        A text that cannot be used is reported where it stands, everything else where the run names the document.
        """
        documents = tuple(documents)
        places = self._wanted.places([str(document.doc_id) for document in documents])
        starts = self._starts[places]
        return tuple(map(self._joined, documents, starts.tolist()))

    def _joined(self, document: RawDocument, start: int) -> RawDocument:
        """Ids are compared as well as their hashes: two that share one never share a text."""
        if start < 0:
            return document
        content = os.pread(self._file, READ_BYTES, start)
        id_bytes, text_bytes, line, is_text = HEADER.unpack_from(content)
        id_ends = HEADER.size + id_bytes
        ends = id_ends + text_bytes
        if len(content) < ends:
            content += os.pread(self._file, ends - len(content), start + len(content))
        if content[HEADER.size : id_ends] != _id_bytes(str(document.doc_id)):
            return document
        written = content[id_ends:ends].decode()
        text, where = written if is_text else json.loads(written), document.where
        if not isinstance(text, str) or not text.strip():
            where = Location(self._source, line)
        return RawDocument(document.doc_id, text, document.score, where)


@contextmanager
def open_corpus(source: str, records: Iterable[Record], wanted: IdSet, set_aside: Report) -> Iterator[Corpus]:
    """The wanted documents of a corpus, in a temporary file that is removed at the end; `source` is where it stands.

    Raises DataError where the corpus cannot be read or the temporary file not be written, and where none of the wanted
    documents has a text, or each two.
    """
    with temporary_folder() as folder:
        file = folder / "corpus"
        with writing_temporary_files():
            starts = _write(records, file, wanted, set_aside)
            opened = file.open("rb")
        with opened:
            yield Corpus(opened.fileno(), source, wanted, starts)


def _write(records: Iterable[Record], file: Path, wanted: IdSet, set_aside: Report) -> npt.NDArray[np.int64]:
    """Write the wanted documents; returns the `starts` of a Corpus.

    A document without an id, or with a wanted one that was met, is set aside, and a wanted one that holds two texts.
    """
    starts = np.full(len(wanted) + 1, -1, dtype=np.int64)
    start, usable = 0, False
    fault: DataError | None = None
    with file.open("wb") as sink:
        for record in records:
            doc_id = record_id(record, DOCUMENTS, set_aside)
            place = None if doc_id is None else wanted.place(doc_id)
            if doc_id is None or place is None:
                continue
            if starts[place] >= 0:
                set_aside(duplicate(record, doc_id))
                continue
            try:
                text = DOCUMENTS.document(record.fields)
            except ValueError as error:
                fault = fault or DataError(f"{record.where}: {error}")
                set_aside(SetAside(record.where, str(error), None, doc_id))
                continue
            if text != "":
                usable = True
            elif fault is None and DOCUMENTS.text_key(record.fields) is None:
                fault = DOCUMENTS.missing(record)
            starts[place] = start
            start += sink.write(_entry(doc_id, text, record.where.line))
    if fault and not usable:
        raise fault
    return starts


def _entry(doc_id: str, text: object, line: int) -> bytes:
    is_text = isinstance(text, str) and is_encodable(text)
    written = (text if isinstance(text, str) and is_text else _as_json(text)).encode()
    named = _id_bytes(doc_id)
    return HEADER.pack(len(named), len(written), line, is_text) + named + written


def _id_bytes(doc_id: str) -> bytes:
    return doc_id.encode("utf-8", "surrogatepass")


def _as_json(value: object) -> str:
    """Of what is no text, a list or an object is kept empty: it is only asked for its kind."""
    return json.dumps(value if isinstance(value, str | int | float) else type(value)())
