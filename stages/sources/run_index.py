"""A TREC run file, read query by query: a first pass notes where each query's lines stand and reports malformed ones.

In memory are 24 bytes a segment (a stretch of lines of one query), about 250 bytes a query, and one query's lines.
"""

from __future__ import annotations

import io
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from stages.core.errors import DataError
from stages.core.order import trec_positions
from stages.core.prepare import Report
from stages.core.records import Location
from stages.sources.lines import decoded, reading, unpacked
from stages.sources.packed import is_seekable
from stages.sources.refusal import Tally
from stages.sources.run_columns import TREC, RunColumns
from stages.sources.run_scan import RunScan, unreported
from stages.sources.short_runs import refusal_of_short
from stages.sources.temporary import temporary_folder, writing_temporary_files

BYTES_PER_READ = 2**20


@dataclass(slots=True)
class RunList:
    """One query's part of a run file, in parallel columns and first-stage order, best first.

    `order_only`: ranks, or an order, are all that the first stage gave, and the scores are made of them.
    """

    doc_ids: list[str] = field(default_factory=list)
    scores: array[float] = field(default_factory=lambda: array("d"))
    lines: array[int] = field(default_factory=lambda: array("q"))
    order_only: bool = False

    def first_tie(self) -> int | None:
        """The place of the first document whose score is that of the one before it; None where there is none."""
        same = (place for place in range(1, len(self.scores)) if self.scores[place] == self.scores[place - 1])
        return next(same, None)

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

    def __init__(
        self, path: Path, file: BinaryIO, admitted: QueryIds, set_aside: Report, columns: RunColumns | None
    ) -> None:
        self.path = path
        self._file = file
        self._segments: dict[str, array[int]] = {}  # flat: offset, length in bytes and first line of each
        with reading(path):
            self._columns = self._columns_of(columns)
            tally = Tally(set_aside)
            scan = RunScan(self._columns, path, tally)
            scan.run(file, self._segments, admitted.admit)
            if not scan.usable:
                raise self._refusal(tally, short=columns is None)
            if columns is None and not scan.values_differ:
                self._check_equal_scores()

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
        """The query's list. Raises KeyError for a query that is not in the index, DataError where the file changed, and
        where two of its ranks are the same.
        """
        run_list = self._as_it_stands(query_id, self._columns)
        order = self._columns.order
        run_list.order_only = order != "score"
        if order == "file":
            run_list.scores = array("d", (-float(place) for place in range(1, len(run_list.doc_ids) + 1)))
        run_list.sort()
        if order == "rank" and (same := run_list.first_tie()) is not None:
            line, rank = max(run_list.lines[same - 1 : same + 1]), abs(run_list.scores[same])
            raise DataError(
                f"{self.path}:{line}: query {query_id!r:.60} has rank {rank:.0f} twice, which gives no order; if the "
                "column is a score, call it so in data.run_columns, and if the lines are in order, call it _"
            )
        return run_list

    def _as_it_stands(self, query_id: str, columns: RunColumns) -> RunList:
        run_list = RunList()
        segments = iter(self._segments[query_id])
        missing = 0
        with reading(self.path):
            for offset, length, line in zip(segments, segments, segments, strict=True):
                self._file.seek(offset)
                segment = self._file.read(length)
                missing += length - len(segment)
                _add(run_list, query_id, segment, Location(str(self.path), line), columns)
        if missing or not run_list.doc_ids:
            raise DataError(f"{self.path} changed while it was read; run again")
        return run_list

    def _columns_of(self, given: RunColumns | None) -> RunColumns:
        """Those that were given; TREC's for a file whose first line has as many: one setting is of all runs."""
        if given is None:
            return TREC
        first = next((line.split() for line in self._file if line.strip() and not line.startswith(b"#")), [])
        self._file.seek(0)
        return TREC if len(first) == len(TREC.names) != len(given.names) else given

    def _refusal(self, tally: Tally, *, short: bool) -> DataError:
        """Nothing of the file can be used."""
        self._file.seek(0)
        found = refusal_of_short(self.path, self._file) if short else None
        form = "a TREC run has lines of `query_id Q0 doc_id rank score tag`"
        if self._columns is not TREC:
            form = f"data.run_columns asks for lines of `{' '.join(self._columns.names)}`"
        return found or tally.refusal(self.path, form)

    def _check_equal_scores(self) -> None:
        """Raises DataError where ranks give an order that scores, which are all the same, do not: by the scores
        trec_eval sorts documents by their ids.
        """
        by_rank = RunColumns.named(("query_id", "_", "doc_id", "rank", "_", "_"))
        for query_id in self._segments:
            as_read = self.read(query_id)
            try:
                ranked = self._as_it_stands(query_id, by_rank)
            except DataError:  # ranks that are none
                return
            ranked.sort()
            differ = len(ranked.doc_ids) == len(as_read.doc_ids) and ranked.doc_ids != as_read.doc_ids
            if differ and ranked.first_tie() is None:
                raise DataError(
                    f"{self.path}: all scores are the same, by which documents stand in the order of their ids; by its "
                    f"ranks query {query_id!r:.60} has another. Say which counts, with data.run_columns (evaluate: "
                    "--run-columns): [query_id, _, doc_id, rank, _, _] or [query_id, _, doc_id, _, score, _]"
                )


@contextmanager
def open_run(
    path: Path, admitted: QueryIds, set_aside: Report, columns: RunColumns | None = None
) -> Iterator[RunIndex]:
    """The index of a run file with lines of `query_id Q0 doc_id rank score tag`; the rank is ignored, as in trec_eval.
    `columns` are of files that have other lines. Lines that begin with # are comments, unless they are lines of a run.

    A packed file, and what is no file but a pipe, is put into a temporary one. Raises DataError where the file cannot
    be read, has no usable line, or does not say in which order its documents are, and where the temporary file cannot
    be written.
    """
    with ExitStack() as stack:
        with reading(path):
            file = stack.enter_context(unpacked(path))
        if not is_seekable(file):
            plain = stack.enter_context(temporary_folder()) / "run.trec"
            with writing_temporary_files(), plain.open("wb") as copy:
                copy.writelines(_chunks(path, file))
            file = stack.enter_context(plain.open("rb"))
        yield RunIndex(path, file, admitted, set_aside, columns)


def _chunks(path: Path, file: BinaryIO) -> Iterator[bytes]:
    with reading(path):
        while chunk := file.read(BYTES_PER_READ):
            yield chunk


def _add(run_list: RunList, query_id: str, segment: bytes, first: Location, columns: RunColumns) -> None:
    """Append the query's lines among those of a segment that begins at `first`."""
    wanted, plain = query_id.encode(), columns.plain
    for number, content in enumerate(io.BytesIO(segment), first.line):
        if number > 1 and (found := plain(content)) is not None:
            if found[0] == wanted:
                _append(run_list, found[1].decode(), found[2], number)
            continue
        line = decoded(content, Location(first.file, number), unreported)
        entry = line and columns.parsed(line, unreported)
        if entry and entry.query_id == query_id:
            _append(run_list, entry.doc_id, entry.value, number)


def _append(run_list: RunList, doc_id: str, value: float, line: int) -> None:
    run_list.doc_ids.append(doc_id)
    run_list.scores.append(value)
    run_list.lines.append(line)
