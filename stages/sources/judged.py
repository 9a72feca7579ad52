"""Qrels that say who judged: `judged-by` is `people` or `model:NAME`, and `by-model` holds the model's own grade of a
pair, also of one that people judged; it is empty where the model gave none. So the score is people's where people
judged, else the model's.

Without these columns nobody can tell, and all is taken for people's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from stages.core.errors import DataError
from stages.core.judges import UNNAMED
from stages.core.prepare import Report, as_id
from stages.core.records import Judgements, Location, SetAside
from stages.sources.grades import parse_grade
from stages.sources.lines import Line

JUDGED_BY, BY_MODEL = ("judged-by", "judged_by"), ("by-model", "by_model")
HEADER = "query-id<TAB>corpus-id<TAB>score<TAB>judged-by<TAB>by-model"
_PEOPLE, _MODEL = "people", re.compile(r"model:(?P<name>\S.*)")
_COLUMNS = {
    "query": ("query-id", "query_id", "qid"),
    "document": ("corpus-id", "corpus_id", "doc-id", "doc_id", "docid"),
    "score": ("score", "relevance", "grade"),
    "judged_by": JUDGED_BY,
    "by_model": BY_MODEL,
}


class JudgedRow(NamedTuple):
    """One row as it stands there; `by_model` is None or blank where the model gave no grade, and None throughout where
    there is no such column.
    """

    where: Location
    query: object
    document: object
    score: object
    judged_by: object
    by_model: object


def tells_who_judged(columns: Collection[str]) -> bool:
    """Whether the columns are of this form. Raises DataError where the model's grades are there, but not who judged:
    then these might be the scores.
    """
    known = {name.strip().lower() for name in columns}
    if known.intersection(JUDGED_BY):
        return True
    if known.intersection(BY_MODEL):
        raise DataError(
            "a column by-model and none judged-by: whose the scores are cannot be told. Give the file as it was "
            "written, with its header"
        )
    return False


def judged_row(where: Location, fields: Mapping[str, object]) -> JudgedRow:
    """A row of a table. Raises DataError where it lacks a column."""
    names = {name.strip().lower(): name for name in fields}
    found: dict[str, object] = {}
    for ours, theirs in _COLUMNS.items():
        name = next((names[one] for one in theirs if one in names), None)
        if name is None and ours != "by_model":
            raise DataError(f"{where.file}: no column {theirs[0]}; one with judged-by has {', '.join(fields)}")
        found[ours] = None if name is None else fields[name]
    return JudgedRow(where, **found)


def judged_lines(header: Sequence[str], lines: Iterable[Line], set_aside: Report) -> Iterator[JudgedRow]:
    """Rows of lines whose columns are tabbed apart, below a header. An editor may have cut the blank last ones."""
    for line in lines:
        fields = [field.strip() for field in line.by_tabs(len(header))]
        if len(fields) == len(header) - 1 and header[-1].lower() in BY_MODEL:
            fields.append("")
        if len(fields) == len(header):
            yield judged_row(line.where, dict(zip(header, fields, strict=True)))
        else:
            set_aside(SetAside(line.where, f"{len(fields)} columns where the header has {len(header)}"))


def headerless(fields: Sequence[str]) -> bool:
    """Whether this is a row of this form, though no header came before it."""
    return len(fields) in (4, 5) and (fields[3] == _PEOPLE or _MODEL.fullmatch(fields[3]) is not None)


def judgements_by(rows: Iterable[JudgedRow], set_aside: Report, refusal: Callable[[], DataError]) -> Judgements:
    """The first row of a pair counts, another one is set aside, as is whatever cannot be read.

    Raises DataError for the grades of two judges, for a fractional grade, and `refusal` where nothing is usable.
    """
    found = _Grades()
    for row in rows:
        query_id, doc_id = as_id(row.query), as_id(row.document)
        fault = "query or document id missing" if query_id is None or doc_id is None else None
        if query_id is None or doc_id is None or (fault := found.add(query_id, doc_id, row)) is not None:
            set_aside(SetAside(row.where, fault or "malformed", query_id, doc_id))
    if not found.grades:
        raise refusal()
    return found.judgements()


class _Grades:
    """Whose grades there are, added up row by row."""

    def __init__(self) -> None:
        self.grades: dict[str, dict[str, int]] = {}
        self._people: dict[str, dict[str, int]] = {}
        self._model: dict[str, dict[str, int]] = {}
        self._judge: tuple[str, Location] | None = None

    def add(self, query_id: str, doc_id: str, row: JudgedRow) -> str | None:
        """Why the row cannot be used; None where it can."""
        score, graded = parse_grade(row.score, row.where), _optional(row.by_model)
        by_model = None if graded is None else parse_grade(graded, row.where)
        if score is None:
            return f"judgement is not an integer: {row.score!r:.40}"
        if graded is not None and by_model is None:
            return f"by-model is not an integer: {row.by_model!r:.40}"
        if doc_id in self.grades.get(query_id, {}):
            return "judged twice: the first judgement counts"
        given = str(row.judged_by).strip()
        if given == _PEOPLE:
            self._people.setdefault(query_id, {})[doc_id] = score
        elif (named := _MODEL.fullmatch(given)) is None:
            return f"judged-by is neither people nor model:NAME: {row.judged_by!r:.40}"
        elif by_model is not None and by_model != score:
            return f"judged by the model with {score}, and by-model is {by_model}"
        else:
            self._named(named["name"], row.where)
            by_model = score
        self.grades.setdefault(query_id, {})[doc_id] = score
        if by_model is not None:
            self._model.setdefault(query_id, {})[doc_id] = by_model
        return None

    def judgements(self) -> Judgements:
        if not self._model:
            return Judgements(self.grades)
        judge = self._judge[0] if self._judge else UNNAMED
        return Judgements(self.grades, judge=judge, by_model=self._model, by_people=self._people)

    def _named(self, judge: str, where: Location) -> None:
        if self._judge is None:
            self._judge = judge, where
        elif self._judge[0] != judge:
            raise DataError(
                f"{where}: judged by {judge}, and at {self._judge[1]} by {self._judge[0]}: grades of two judges are "
                "not mixed; give a file for each"
            )


def _optional(value: object) -> object | None:
    """None for what is blank, as a table's null and NaN."""
    blank = value is None or value != value or (isinstance(value, str) and not value.strip())  # noqa: PLR0124
    return None if blank else value
