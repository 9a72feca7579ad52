"""TREC's two files: the run (a first stage) and the qrels (judgements), the latter also in BEIR's three columns."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from numbers import Real
from pathlib import Path

from stages.core.errors import DataError
from stages.core.prepare import Report
from stages.core.records import Judgements, Location, SetAside
from stages.sources.lines import Line, read_lines
from stages.sources.refusal import Tally
from stages.sources.run_columns import RunColumns
from stages.sources.run_index import QueryIds, RunList, open_run

LARGEST_GRADE = 2**31 - 1
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
    first line is one by the words in it, not because its grade is none.

    The first judgement of a pair counts. Raises DataError for a fractional grade, and where the file cannot be read or
    has no usable line.
    """
    grades: dict[str, dict[str, int]] = {}
    tally = Tally(set_aside)
    for line in read_lines(path, tally):
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
        raise tally.refusal(path, "qrels have lines of `query_id 0 doc_id grade`, or `query_id<TAB>doc_id<TAB>grade`")
    return Judgements(grades)


def parse_grade(value: object, where: Location) -> int | None:
    """A judgement as an integer (`1.0` is 1), None where it is no number. Raises DataError for a fraction."""
    if not isinstance(value, str | int | float | Real | Decimal):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number) or abs(number) > LARGEST_GRADE:
        return None
    if not number.is_integer() or (isinstance(value, Decimal) and value != number):
        raise DataError(f"{where}: judgement {value} is a fraction; grades are integers: multiply or round them first")
    return int(number)


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
