"""TREC's two files: the run (a first stage) and the qrels (judgements), the latter also in BEIR's three columns."""

from __future__ import annotations

import math
from decimal import Decimal
from numbers import Real
from pathlib import Path

from stages.core.errors import DataError
from stages.core.prepare import Report
from stages.core.records import Judgements, Location, SetAside
from stages.sources.lines import Line, read_lines
from stages.sources.run_index import QueryIds, RunList, open_run

LARGEST_GRADE = 2**31 - 1


def read_trec_run(path: Path, limit: int | None, set_aside: Report) -> dict[str, RunList]:
    """Query id -> its sorted list, in the run's order of queries; with `limit`, of its first so many queries.

    The whole run is in memory, about 100 bytes a line; `open_run` reads it query by query. Raises as `open_run` does.
    """
    with open_run(path, QueryIds(limit), set_aside) as run:
        return {query_id: run.read(query_id) for query_id in run}


def read_qrels(path: Path, set_aside: Report) -> Judgements:
    """Judgements from `query_id 0 doc_id grade` (TREC) or `query_id doc_id grade` (BEIR), with or without a header.

    The first judgement of a pair counts. Raises DataError for a fractional grade, and where the file cannot be read or
    has no usable line.
    """
    grades: dict[str, dict[str, int]] = {}
    for line in read_lines(path, set_aside):
        fields = _qrels_fields(line)
        grade = parse_grade(fields[-1], line.where) if fields else None
        if grade is None and line.where.line == 1 and len(fields) in (3, 4):
            continue  # the header
        fault = _qrels_fault(fields, grade)
        if fault is None and fields[-2] in grades.get(fields[0], {}):
            fault = "judged twice: the first judgement counts"
        if fault is not None or grade is None:
            set_aside(SetAside(line.where, fault or "malformed", *_pair(fields)))
        else:
            grades.setdefault(fields[0], {})[fields[-2]] = grade
    if not grades:
        raise DataError(f"{path} has no usable line; qrels have lines of `query_id 0 doc_id grade`")
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
    by_tab = [field.strip() for field in line.text.split("\t")]
    return by_tab if len(by_tab) in (3, 4) else line.fields()


def _qrels_fault(fields: list[str], grade: int | None) -> str | None:
    if len(fields) not in (3, 4):
        return f"qrels have 3 or 4 columns, this line {len(fields)}"
    if not fields[0] or not fields[-2]:
        return "query or document id missing"
    return f"judgement is not an integer: {fields[-1]!r:.40}" if grade is None else None


def _pair(fields: list[str]) -> tuple[str | None, str | None]:
    return (fields[0] or None, fields[-2] or None) if len(fields) in (3, 4) else (None, None)
