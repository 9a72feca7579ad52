"""TREC's two files: the run (a first stage) and the qrels (judgements), the latter also in BEIR's three columns."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from stages.core.errors import DataError
from stages.core.prepare import Report
from stages.core.records import Judgements, SetAside
from stages.sources.grades import parse_grade
from stages.sources.judged import HEADER, headerless, judged_lines, judgements_by, tells_who_judged
from stages.sources.lines import Line, read_lines
from stages.sources.refusal import Tally
from stages.sources.run_columns import RunColumns
from stages.sources.run_index import QueryIds, RunList, open_run

_FORM = "qrels have lines of `query_id 0 doc_id grade`, or `query_id<TAB>doc_id<TAB>grade`"
# A header calls its first column and its last one so, whatever separates their words and in either case.
_QUERY_WORDS = ("query", "queryid", "qid", "topic", "topicid", "topicno", "topicnumber")
_GRADE_WORDS = (
    *("score", "rel", "relevance", "relevancelabel", "relevancegrade", "relevancescore", "label", "grade", "gain"),
    *("judgment", "judgement", "rating", "qrel"),
)


def read_trec_run(
    path: Path, limit: int | None, set_aside: Report, columns: RunColumns | None = None
) -> dict[str, RunList]:
    """Query id -> its sorted list, in the run's order of queries; with `limit`, of its first so many queries.

    The whole run is in memory, about 100 bytes a line; `open_run` reads it query by query. Raises as `open_run` does.
    """
    with open_run(path, QueryIds(limit), set_aside, columns) as run:
        return {query_id: run.read(query_id) for query_id in run}


def read_qrels(path: Path, set_aside: Report) -> Judgements:
    """Judgements from `query_id 0 doc_id grade` (TREC) or `query_id doc_id grade` (BEIR), with or without a header: a
    first line is one by the words in it, not because its grade is none. A header with `judged-by` says who judged
    (`stages.sources.judged`).

    The first judgement of a pair counts. Raises DataError for a fractional grade, for grades of two judges, and where
    the file cannot be read or has no usable line.
    """
    tally = Tally(set_aside)
    lines = read_lines(path, tally)
    first = next(lines, None)
    if first is not None and (header := _judged_header(path, first)) is not None:
        rows = judged_lines(header, lines, tally)
        return judgements_by(rows, tally, lambda: tally.refusal(path, f"below its header {HEADER} are such lines"))
    return _plain(path, chain([] if first is None else [first], lines), tally)


def _judged_header(path: Path, first: Line) -> list[str] | None:
    """The names of its columns. Raises DataError where they, or the header, are not all there."""
    fields = [field.strip() for field in first.by_tabs(1)]
    try:
        if tells_who_judged(fields):
            return fields
    except DataError as error:
        raise DataError(f"{first.where}: {error}") from error
    if headerless(fields):
        raise DataError(f"{path} says who judged, but not in which columns: its first line must be the header {HEADER}")
    return None


def _plain(path: Path, lines: Iterator[Line], tally: Tally) -> Judgements:
    grades: dict[str, dict[str, int]] = {}
    for line in lines:
        fields = _qrels_fields(line)
        if line.where.line == 1 and _is_header(fields):
            continue
        grade = parse_grade(fields[-1], line.where) if fields else None
        fault = _qrels_fault(fields, grade)
        if fault is None and fields[-2] in grades.get(fields[0], {}):
            fault = "judged twice: the first judgement counts"
        if fault is not None or grade is None:
            tally(SetAside(line.where, fault or "malformed", *_pair(fields)))
        else:
            grades.setdefault(fields[0], {})[fields[-2]] = grade
    if not grades:
        raise tally.refusal(path, _FORM)
    return Judgements(grades)


def _qrels_fields(line: Line) -> list[str]:
    """Three or four columns, or whatever is there: BEIR separates by tabs, so its ids may hold spaces."""
    by_tab = [field.strip() for field in line.by_tabs(4)]
    if len(by_tab) == 4 and not by_tab[3] and by_tab[1] not in ("0", "Q0"):
        by_tab.pop()  # BEIR's three, and a tab at the end; else TREC's four, without a judgement
    return by_tab if len(by_tab) in (3, 4) else line.fields()


def _is_header(fields: list[str]) -> bool:
    if len(fields) not in (3, 4):
        return False
    first, last = (re.sub(r"[\W_]", "", field).lower() for field in (fields[0], fields[-1]))
    return first in _QUERY_WORDS and last in _GRADE_WORDS


def _qrels_fault(fields: list[str], grade: int | None) -> str | None:
    if len(fields) not in (3, 4):
        return f"qrels have 3 or 4 columns, this line {len(fields)}"
    if not fields[0] or not fields[-2]:
        return "query or document id missing"
    return f"judgement is not an integer: {fields[-1]!r:.40}" if grade is None else None


def _pair(fields: list[str]) -> tuple[str | None, str | None]:
    return (fields[0] or None, fields[-2] or None) if len(fields) in (3, 4) else (None, None)
