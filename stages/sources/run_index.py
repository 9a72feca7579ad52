"""A TREC run file, read query by query: a first pass notes where each query's lines stand and reports malformed ones.

In memory are 24 bytes a segment (a stretch of lines of one query), about 250 bytes a query, and one query's lines.
"""

from __future__ import annotations

import io
import math
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NamedTuple

from stages.core.errors import DataError
from stages.core.order import trec_positions
from stages.core.prepare import Report
from stages.core.records import Location, SetAside
from stages.sources.lines import Line, decoded, reading, unpacked
from stages.sources.temporary import temporary_folder, writing_temporary_files

RUN_COLUMNS = 6
BYTES_PER_READ = 2**20


@dataclass(slots=True)
class RunList:
    """One query's part of a run file, in parallel columns and first-stage order, best first."""

    doc_ids: list[str] = field(default_factory=list)
    scores: array[float] = field(default_factory=lambda: array("d"))
    lines: array[int] = field(default_factory=lambda: array("q"))

    def sort(self) -> None:
        """Into first-stage order."""
        order = trec_positions(self.doc_ids, self.scores)
        self.doc_ids = [self.doc_ids[i] for i in order]
        self.scores = array("d", (self.scores[i] for i in order))
        self.lines = array("q", (self.lines[i] for i in order))

    def take_out(self, doc_id: str) -> list[int]:
        """The document leaves the list. Returns the lines it stood on."""
        places = [place for place, one in enumerate(self.doc_ids) if one == doc_id]
        lines = [self.lines[place] for place in places]
        for place in reversed(places):
            del self.doc_ids[place], self.scores[place], self.lines[place]
        return lines


class QueryIds:
    """Query ids by first appearance, in one run or in several that are read one after the other; at most `limit`."""

    def __init__(self, limit: int | None = None) -> None:
        self._ids: dict[str, None] = {}
        self._limit = limit

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __contains__(self, query_id: object) -> bool:
        return query_id in self._ids

    def admit(self, query_id: str) -> bool:
        """Whether the query is among them: it was met before, or there is room for one more."""
        if query_id not in self._ids and (self._limit is None or len(self._ids) < self._limit):
            self._ids[query_id] = None
        return query_id in self._ids


class RunIndex:
    """The queries of an open run file that `admitted` takes, and their lines; `open_run` makes it."""

    def __init__(self, path: Path, file: BinaryIO, admitted: QueryIds, set_aside: Report) -> None:
        self.path = path
        self._file = file
        self._segments: dict[str, array[int]] = {}  # flat: offset, length in bytes and first line of each
        with reading(path):
            self._scan(admitted, set_aside)

    @property
    def name(self) -> str:
        return str(self.path)

    @property
    def unranked(self) -> None:
        """A run is a ranking."""

    def __iter__(self) -> Iterator[str]:
        return iter(self._segments)

    def __contains__(self, query_id: object) -> bool:
        return query_id in self._segments

    def read(self, query_id: str) -> RunList:
        """The query's list. Raises KeyError for a query that is not in the index, DataError where the file changed."""
        run_list = RunList()
        segments = iter(self._segments[query_id])
        missing = 0
        with reading(self.path):
            for offset, length, line in zip(segments, segments, segments, strict=True):
                self._file.seek(offset)
                segment = self._file.read(length)
                missing += length - len(segment)
                self._add(run_list, query_id, segment, line)
        if missing or not run_list.doc_ids:
            raise DataError(f"{self.path} changed while it was read; run again")
        run_list.sort()
        return run_list

    def _add(self, run_list: RunList, query_id: str, segment: bytes, first_line: int) -> None:
        """Append the query's lines among those of the segment."""
        for number, content in enumerate(io.BytesIO(segment), first_line):
            entry = self._entry(content, number, _reported_by_scan)
            if entry is not None and entry.query_id == query_id:
                run_list.doc_ids.append(entry.doc_id)
                run_list.scores.append(entry.score)
                run_list.lines.append(number)

    def _scan(self, admitted: QueryIds, set_aside: Report) -> None:
        """Fill the segments. One ends where a usable line of another query begins."""
        current: str | None = None
        end = 0
        for number, content in enumerate(self._file, 1):
            start, end = end, end + len(content)
            entry = self._entry(content, number, set_aside)
            if entry is None:
                continue
            if admitted.admit(entry.query_id):
                segments = self._segments.setdefault(entry.query_id, array("q"))
                if entry.query_id != current:
                    segments.extend((start, 0, number))
                segments[-2] = end - segments[-3]
            current = entry.query_id
        if current is None:
            raise DataError(
                f"{self.path} has no usable line; a TREC run has lines of `query_id Q0 doc_id rank score tag`"
            )

    def _entry(self, content: bytes, number: int, set_aside: Report) -> _Entry | None:
        if number > 1 and (entry := _plain_entry(content)) is not None:
            return entry
        line = decoded(content, Location(str(self.path), number), set_aside)
        return None if line is None else _parsed(line, set_aside)


@contextmanager
def open_run(path: Path, admitted: QueryIds, set_aside: Report) -> Iterator[RunIndex]:
    """The index of a run file with lines of `query_id Q0 doc_id rank score tag`; the rank is ignored, as in trec_eval.

    A file that ends in .gz is unpacked to a temporary one. Raises DataError where the file cannot be read or has no
    usable line, and where the temporary file cannot be written.
    """
    with ExitStack() as stack:
        plain = path
        if path.suffix == ".gz":
            plain = stack.enter_context(temporary_folder()) / "run.trec"
            with writing_temporary_files(), plain.open("wb") as unpacked:
                unpacked.writelines(_unpacked(path))
        with reading(path):
            file = stack.enter_context(plain.open("rb"))
        yield RunIndex(path, file, admitted, set_aside)


def _unpacked(path: Path) -> Iterator[bytes]:
    with reading(path), unpacked(path) as file:
        while chunk := file.read(BYTES_PER_READ):
            yield chunk


class _Entry(NamedTuple):
    query_id: str
    doc_id: str
    score: float


def _plain_entry(content: bytes) -> _Entry | None:
    """What `_parsed` makes of the line, at a fifth of its time, where the line is as most are; None: ask that one."""
    fields = content.split()  # at ASCII white space
    if len(fields) != RUN_COLUMNS:
        return None
    try:
        content.decode()
        score = float(fields[4])
        return _Entry(fields[0].decode(), fields[2].decode(), score) if math.isfinite(score) else None
    except ValueError:  # no UTF-8, or no number of ASCII digits
        return None


def _parsed(line: Line, set_aside: Report) -> _Entry | None:
    fields = line.fields()
    if len(fields) != RUN_COLUMNS:
        set_aside(SetAside(line.where, f"a run has {RUN_COLUMNS} columns, this line {len(fields)}"))
        return None
    query_id, _, doc_id, _, score, _ = fields
    try:
        number = float(score)
    except ValueError:
        number = math.nan
    if math.isfinite(number):
        return _Entry(query_id, doc_id, number)
    set_aside(SetAside(line.where, f"score is not a finite number: {score!r:.40}", query_id, doc_id))
    return None


def _reported_by_scan(_: SetAside) -> None:
    """Lines are read twice; what is malformed is reported once."""
