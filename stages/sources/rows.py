"""Rows that carry their own texts, from whatever table: the layout is told by the columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from stages.core.errors import DataError
from stages.core.first_stage import MadeFirstStage
from stages.core.meeting import Encounter, Meeting
from stages.core.prepare import Report, as_id
from stages.core.records import Answers, Judgements, RawQuery, SetAside
from stages.sources.answers import answers_of, none_given
from stages.sources.columns import Columns
from stages.sources.formats.nested import read_any_qrels
from stages.sources.formats.shape import LABELS_APART
from stages.sources.formats.shapes import RECORDS_SEEN, shapes_of
from stages.sources.grades import parse_grade
from stages.sources.judged import BY_MODEL, JUDGED_BY
from stages.sources.layouts import JudgedQuery, by_pair, by_query
from stages.sources.lines import existing_file
from stages.sources.mteb import by_relevance
from stages.sources.neighbours import neighbour
from stages.sources.row_files import RowTable
from stages.sources.settings import (
    ANSWERS,
    CHOOSE,
    FIRST_STAGE,
    LIST_COLUMNS,
    OWN_DOCUMENT,
    QUERY_COLUMNS,
    DataSettings,
)

Layout = Callable[[RowTable, Columns, Report], Iterator[JudgedQuery]]


class RowSource:
    """Raises DataError where the table lacks a column that its format needs."""

    names = (FIRST_STAGE,)
    made: Mapping[str, MadeFirstStage] = MappingProxyType({})

    def __init__(self, table: RowTable, settings: DataSettings) -> None:
        self.name = table.name
        self._table, self._limit, self._drop_self = table, settings.limit, settings.drop_self
        self._columns = Columns(settings.columns, table.columns)
        self._layout = _layout(table, self._columns, settings)
        # Why the order of candidates is no first stage, where it is none.
        self._unranked = LABELS_APART if settings.format == "mteb" else getattr(table, "unranked", None)
        self._depth = settings.depth
        self._by_answers, self._chosen = settings.by_answers, settings.judgements is not None
        self._qrels = None if settings.qrels is None else existing_file(Path(settings.qrels), "data.qrels")

    def queries(self, set_aside: Report) -> Iterator[RawQuery]:
        for query in self._judged(set_aside):
            yield _without_own(query.raw(), query, set_aside) if self._drop_self else query.raw()

    def query_lists(self, set_aside: Report) -> Iterator[Mapping[str, RawQuery]]:
        for query in self.queries(set_aside):
            yield {FIRST_STAGE: query}

    def answers(self, set_aside: Report) -> dict[str, Answers] | None:
        """Raises DataError where rows also have relevances, and neither was chosen."""
        if not self._by_answers:
            return None
        found: dict[str, Answers] = {}
        met: set[str] = set()
        for query in self._judged(_reported_by_queries):
            if not self._chosen and any(one.relevance is not None for one in (*query.entries, *query.unretrieved)):
                raise DataError(f"{query.where}: a relevance beside data.columns.answers: {CHOOSE}")
            query_id = as_id(query.query_id)
            if query_id is None or query_id in met:
                continue
            met.add(query_id)
            if (answers := answers_of(query_id, query.answers, query.where, set_aside)) is not None:
                found[query_id] = answers
        if not found and self._limit is None:
            raise none_given(self._table.name)
        return found

    def judgements(self, set_aside: Report) -> Judgements:
        """From `data.qrels` if given, else from the relevance column; empty where there is neither."""
        if self._by_answers:
            return Judgements({})
        judgements = self._own_judgements(set_aside) if self._qrels is None else read_any_qrels(self._qrels, set_aside)
        if self._limit is None:
            return judgements
        limited = {as_id(query.query_id) for query in self._judged(_reported_by_queries)}
        return judgements.of(query_id for query_id in judgements.grades if query_id in limited)

    def meetings(self) -> dict[str, Meeting]:
        if self._by_answers:
            answers: dict[str, dict[str, int]] = {one: {} for one in self.answers(_reported_by_queries) or ()}
            return self._meeting(answers, self._judged(_reported_by_queries))
        if self._qrels is None:
            return self._with_own_judgements()
        grades = read_any_qrels(self._qrels, _reported_by_queries).grades
        return self._meeting(grades, self._layout(self._table, self._columns, _reported_by_queries))

    def _meeting(self, grades: Mapping[str, Mapping[str, int]], queries: Iterable[JudgedQuery]) -> dict[str, Meeting]:
        encounter = Encounter(grades)
        for query in queries:
            if (query_id := as_id(query.query_id)) is not None:
                encounter.add(query_id, query.doc_ids)
        meeting = encounter.meeting()
        if told := meeting.refusal(self._table.name, str(self._qrels)):
            raise DataError(told)
        return {FIRST_STAGE: replace(meeting, unranked=self._unranked)}

    def _with_own_judgements(self) -> dict[str, Meeting]:
        """Rows judge their own documents, but maybe not those of every query."""
        judged: dict[str, bool] = {}
        for query in self._judged(_reported_by_queries):
            if (query_id := as_id(query.query_id)) is not None and not judged.get(query_id):
                judged[query_id] = bool(_grades(query, query_id, _reported_by_queries))
        unjudged, shared = (
            min((one for one, is_judged in judged.items() if not is_judged), default=None),
            sum(judged.values()),
        )
        meeting = Meeting(len(judged), shared, shared, without_judgements=unjudged, unranked=self._unranked)
        return {FIRST_STAGE: meeting} if shared else {}

    def _judged(self, set_aside: Report) -> Iterator[JudgedQuery]:
        for query in islice(self._layout(self._table, self._columns, set_aside), self._limit):
            if self._unranked and self._depth is not None and len(query.entries) > self._depth:
                raise DataError(
                    f"{query.where}: {len(query.entries):,} candidates in no order ({self._unranked}), so that "
                    f"data.depth {self._depth:,} would choose by chance. Set data.depth to null"
                )
            yield query

    def _own_judgements(self, set_aside: Report) -> Judgements:
        """Raises DataError where the rows say who judged: here all would be taken for people's."""
        if judged := [name for name in self._table.columns if name.strip().lower() in (*JUDGED_BY, *BY_MODEL)]:
            raise DataError(
                f"{self._table.name}: the column {judged[0]} says who judged, which is read of qrels alone: give these "
                "judgements as data.qrels, with columns query-id, corpus-id, score, judged-by, by-model"
            )
        grades: dict[str, dict[str, int]] = {}
        for query in self._judged(_reported_by_queries):
            query_id = as_id(query.query_id)
            if query_id is None or query_id in grades:
                continue
            own = _grades(query, query_id, set_aside)
            if own:
                grades[query_id] = own
        return Judgements(grades)


def _without_own(raw: RawQuery, query: JudgedQuery, set_aside: Report) -> RawQuery:
    """Without the document that has the query's id, where its documents have ids of their own."""
    if all(entry.doc_id is None for entry in query.entries):
        return raw
    query_id = as_id(raw.query_id)
    own = [document for document in raw.documents if query_id is not None and as_id(document.doc_id) == query_id]
    for document in own:
        set_aside(SetAside(document.where, OWN_DOCUMENT, query_id, query_id))
    return replace(raw, documents=tuple(document for document in raw.documents if document not in own)) if own else raw


def _grades(query: JudgedQuery, query_id: str, set_aside: Report) -> dict[str, int]:
    """The first judgement of a document counts, as its first row does."""
    grades: dict[str, int] = {}
    for doc_id, entry in query.judged():
        grade = parse_grade(entry.relevance, entry.where)
        if grade is None:
            told = f"relevance is not an integer: {entry.relevance!s:.40} ({type(entry.relevance).__name__})"
            set_aside(SetAside(entry.where, told, query_id, doc_id))
        else:
            grades.setdefault(doc_id, grade)
    return grades


def _layout(table: RowTable, columns: Columns, settings: DataSettings) -> Layout:
    nested = settings.format != "mteb" and columns.has("documents")  # what is no column may be a key within `documents`
    for ours, theirs in settings.columns.items():
        if theirs not in table.columns and (not nested or ours in (*QUERY_COLUMNS, *LIST_COLUMNS, ANSWERS)):
            got = ", ".join(table.columns) or "none"
            raise DataError(f"data.columns: {settings.path} has no column {theirs!r} for {ours}; got {got}")
    if settings.format == "mteb":
        _require(table, columns, settings, ("query", "positive", "negative"), "query, positive and negative")
        return by_relevance
    if nested:
        _require(table, columns, settings, ("query", "documents"), "query and documents")
        return by_query
    said = "query and documents (a row per query) or query and text (per pair)"
    _require(table, columns, settings, ("query", "text"), said)
    return by_pair


def _require(table: RowTable, columns: Columns, settings: DataSettings, needed: tuple[str, ...], said: str) -> None:
    if not all(map(columns.has, needed)):
        got = ", ".join(table.columns) or "none"
        told = _other_format(table) or neighbour(table.columns)
        raise DataError(f"{settings.path}: rerank needs columns {said}; got {got}. {told}")


def _other_format(table: RowTable) -> str | None:
    """Which format reads its rows, by what the first of them hold."""
    first = islice(table.records(_reported_by_queries), RECORDS_SEEN)
    shapes = (shape for record in first for shape in shapes_of(record.fields))
    return next((f"data.format: {shape.format} reads {shape.told}" for shape in shapes), None)


def _reported_by_queries(_: SetAside) -> None:
    """Malformed rows are `queries`' to report, once."""
