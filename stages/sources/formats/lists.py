"""First stages that are no TREC run: lists of documents under query ids, from whatever holds them.

They are written to a temporary file as they come, one line a stretch of one query, so that in memory are about 250
bytes a query, 24 bytes a stretch, and what belongs to one query. Ids may hold anything.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import BinaryIO

from stages.core.errors import DataError
from stages.core.prepare import Report, as_id
from stages.core.records import Location, SetAside
from stages.sources.run_index import QueryIds, RunList
from stages.sources.temporary import temporary_folder, writing_temporary_files


@dataclass(frozen=True, slots=True)
class Stretch:
    """Documents of one query in a row of a first stage, as they were found; `scores` None: their order counts."""

    query_id: object
    doc_ids: Sequence[object]
    scores: Sequence[object] | None
    line: int = 0


class ListIndex:
    """Lists in an open file, by query; `open_lists` makes it."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        self.name = name
        self.unranked: str | None = None
        self._file = file
        self._starts: dict[str, array[int]] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._starts)

    def __contains__(self, query_id: object) -> bool:
        return query_id in self._starts

    def add(self, query_id: str, doc_ids: list[str], scores: list[float] | None, line: int) -> None:
        start = self._file.seek(0, 2)
        self._file.write(json.dumps([doc_ids, scores, line]).encode() + b"\n")
        self._starts.setdefault(query_id, array("q")).append(start)

    def read(self, query_id: str) -> RunList:
        """The query's list: by score as trec_eval orders it; without scores in the order given, as -1, -2, ...; where
        it is unranked, in one that the ids decide.
        """
        found, scored = RunList(), True
        for start in self._starts[query_id]:
            self._file.seek(start)
            doc_ids, scores, line = json.loads(self._file.readline())
            found.doc_ids += doc_ids
            found.lines.extend([line] * len(doc_ids))
            scored = scored and scores is not None
            found.scores.extend(scores if scores is not None else [0.0] * len(doc_ids))
        if self.unranked:
            lines = dict(zip(found.doc_ids, found.lines, strict=True))
            found.doc_ids.sort(key=lambda doc_id: _digest(query_id, doc_id))
            found.lines = array("q", (lines[doc_id] for doc_id in found.doc_ids))
        found.order_only = bool(self.unranked) or not scored
        if found.order_only:
            found.scores = array("d", (-float(place) for place in range(1, len(found.doc_ids) + 1)))
        else:
            found.sort()
        return found


@contextmanager
def open_lists(
    name: str, stretches: Iterable[Stretch], admitted: QueryIds, set_aside: Report, alike: str | None = None
) -> Iterator[ListIndex]:
    """The lists of the queries that `admitted` takes. With `alike` they count as unranked, for that reason, where each
    document of all of them has the same score.

    Raises DataError where there is none, and where the temporary file cannot be written.
    """
    with temporary_folder() as folder:
        with writing_temporary_files():
            file = (folder / "lists").open("w+b")
        with file:
            index, scores = ListIndex(name, file), set[float]()
            for stretch in stretches:
                if alike and len(scores) < 2:  # over all queries, also those that `admitted` leaves
                    scores.update(score for score in map(_number, stretch.scores or ()) if score is not None)
                with writing_temporary_files():
                    _add(index, stretch, admitted, set_aside)
            if next(iter(index), None) is None:
                raise DataError(f"{name} has no list of documents for any query")
            if alike and len(scores) == 1:
                index.unranked = alike
            yield index


def _add(index: ListIndex, stretch: Stretch, admitted: QueryIds, set_aside: Report) -> None:
    """Keep what is usable of a stretch."""
    where, query_id = Location(index.name, stretch.line), as_id(stretch.query_id)
    if query_id is None:
        set_aside(SetAside(where, "query id missing"))
        return
    doc_ids: list[str] = []
    scores: list[float] = []
    for position, given in enumerate(stretch.doc_ids):
        doc_id, score = as_id(given), 0.0 if stretch.scores is None else _number(stretch.scores[position])
        if doc_id is None:
            set_aside(SetAside(where, "document id missing", query_id))
        elif score is None:
            set_aside(SetAside(where, "score is not a finite number", query_id, doc_id))
        else:
            doc_ids.append(doc_id)
            scores.append(score)
    if doc_ids and admitted.admit(query_id):
        index.add(query_id, doc_ids, None if stretch.scores is None else scores, stretch.line)


def _number(score: object) -> float | None:
    if isinstance(score, bool) or not isinstance(score, int | float):
        return None
    try:
        number = float(score)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _digest(query_id: str, doc_id: str) -> bytes:
    return blake2b(f"{query_id}\0{doc_id}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
