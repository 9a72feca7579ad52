"""How rows hold queries and documents: one row per query with its documents, or one row per pair."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from stages.core.prepare import Report, as_id
from stages.core.records import Location, RawDocument, RawQuery, SetAside
from stages.sources.lines import Record
from stages.sources.row_files import RowTable
from stages.sources.settings import COLUMNS
from stages.sources.text_keys import document_text

# What a column may also be called without being mapped.
ALIASES = {"relevance": ("relevance", "label"), "relevances": ("relevances", "labels")}
DOCUMENT_ID_KEYS = ("id", "_id")  # besides doc_id, within an object of `documents`


class Columns:
    """Our column names, found in a table that may call them otherwise."""

    def __init__(self, mapping: Mapping[str, str], present: Collection[str]) -> None:
        self._theirs = {ours: (mapping[ours],) if ours in mapping else ALIASES.get(ours, (ours,)) for ours in COLUMNS}
        self._present = frozenset(present)

    def has(self, ours: str) -> bool:
        return not self._present.isdisjoint(self._theirs[ours])

    def get(self, fields: Mapping[str, object], ours: str) -> object:
        """The value under our name, None where the row has none."""
        return next((fields[name] for name in self._theirs[ours] if name in fields), None)

    def attributes(self, fields: Mapping[str, object]) -> dict[str, str]:
        """The strings under names that are not ours, such as a query's language."""
        ours = {name for names in self._theirs.values() for name in names}
        return {name: value for name, value in fields.items() if name not in ours and isinstance(value, str)}


@dataclass(frozen=True, slots=True)
class Entry:
    """One document of a query, as a row gives it."""

    doc_id: object
    text: object
    score: object
    relevance: object
    where: Location


@dataclass(slots=True)
class JudgedQuery:
    """A query and its documents, with the relevance that rows give them (None: not judged)."""

    query_id: object
    query: object
    where: Location
    instruction: object = None
    attributes: dict[str, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)

    def raw(self) -> RawQuery:
        documents = tuple(
            RawDocument(doc_id, "" if entry.text is None else entry.text, entry.score, entry.where)
            for doc_id, entry in zip(self._doc_ids(), self.entries, strict=True)
        )
        query = "" if self.query is None else self.query
        return RawQuery(self.query_id, query, documents, self.where, self.instruction, self.attributes)

    def judged(self) -> Iterator[tuple[str, Entry]]:
        """The documents that have an id and a relevance."""
        for doc_id, entry in zip(map(as_id, self._doc_ids()), self.entries, strict=True):
            if doc_id is not None and entry.relevance is not None:
                yield doc_id, entry

    def doc_ids(self) -> list[str]:
        """Those that can be ids."""
        return [doc_id for doc_id in map(as_id, self._doc_ids()) if doc_id is not None]

    def _doc_ids(self) -> list[object]:
        """As given; d1, d2, ... by position where none of the query's documents has an id."""
        if all(entry.doc_id is None for entry in self.entries):
            return [f"d{position}" for position in range(1, len(self.entries) + 1)]
        return [entry.doc_id for entry in self.entries]


def by_query(table: RowTable, columns: Columns, set_aside: Report) -> Iterator[JudgedQuery]:
    """One row per query: `documents` are strings, or objects, or strings beside parallel lists of ids and scores.

    Without a query_id column the ids are q1, q2, ... by position.
    """
    for number, record in enumerate(table.records(set_aside), 1):
        query = _judged_query(record, columns, f"q{number}")
        try:
            query.entries = _entries(record, columns)
        except _MalformedRowError as error:
            set_aside(SetAside(record.where, str(error), as_id(query.query_id)))
            continue
        yield query


def by_pair(table: RowTable, columns: Columns, set_aside: Report) -> Iterator[JudgedQuery]:
    """One row per pair, in any order. Nothing comes out before all is read: a query's last row may be the file's last.

    So all pairs are in memory, about 300 bytes each, and each distinct text once. Where that is too much, `by_query`
    and CollectionSource stream.

    Without a query_id column the ids are q1, q2, ... by first appearance of the query's text.
    """
    queries: dict[str, JudgedQuery] = {}
    known: dict[str, str] = {}  # one string object per text, however many queries retrieve it
    for record in table.records(set_aside):
        text = columns.get(record.fields, "query")
        key = as_id(columns.get(record.fields, "query_id") if columns.has("query_id") else text)
        if key is None or not isinstance(text, str):
            set_aside(SetAside(record.where, "query id missing" if key is None else "query is not a string", key))
            continue
        query = queries.setdefault(key, _judged_query(record, columns, f"q{len(queries) + 1}"))
        if text != query.query:
            set_aside(SetAside(record.where, f"another query text than in {query.where}", as_id(query.query_id)))
            continue
        entry = _entry(record.fields, columns, record.where)
        if isinstance(entry.text, str):
            entry = replace(entry, text=known.setdefault(entry.text, entry.text))
        query.entries.append(entry)
        query.attributes = dict(query.attributes.items() & columns.attributes(record.fields).items())
    yield from queries.values()


def _judged_query(record: Record, columns: Columns, made_id: str) -> JudgedQuery:
    return JudgedQuery(
        query_id=columns.get(record.fields, "query_id") if columns.has("query_id") else made_id,
        query=columns.get(record.fields, "query"),
        where=record.where,
        instruction=columns.get(record.fields, "instruction"),
        attributes=columns.attributes(record.fields),
    )


class _MalformedRowError(Exception):
    """The row's documents cannot be told apart; never leaves this module."""


def _entry(fields: Mapping[str, object], columns: Columns, where: Location, *, nested: bool = False) -> Entry:
    doc_id = columns.get(fields, "doc_id")
    if doc_id is None and nested:
        doc_id = next((fields[key] for key in DOCUMENT_ID_KEYS if key in fields), None)
    text = columns.get(fields, "text")
    return Entry(
        doc_id=doc_id,
        text=None if text is None else document_text(columns.get(fields, "title"), text),
        score=columns.get(fields, "score"),
        relevance=columns.get(fields, "relevance"),
        where=where,
    )


def _entries(record: Record, columns: Columns) -> list[Entry]:
    documents = columns.get(record.fields, "documents")
    if isinstance(documents, dict):
        documents = _transposed(documents)
    if not isinstance(documents, list):
        raise _MalformedRowError(f"documents is not a list but {type(documents).__name__}")
    length = len(documents)
    ids, scores, relevances = (
        _parallel(columns.get(record.fields, name), name, length) for name in ("doc_ids", "scores", "relevances")
    )
    return [
        _entry(document, columns, record.where, nested=True)
        if isinstance(document, dict)
        else Entry(doc_id, document, score, relevance, record.where)
        for document, doc_id, score, relevance in zip(documents, ids, scores, relevances, strict=True)
    ]


def _parallel(values: object, name: str, length: int) -> list[object]:
    if values is None:
        return [None] * length
    if not isinstance(values, list):
        raise _MalformedRowError(f"{name} is not a list but {type(values).__name__}")
    if len(values) != length:
        raise _MalformedRowError(f"{name} has {len(values)} entries, documents {length}")
    return values


def _transposed(lists: Mapping[str, object]) -> list[object]:
    """The Hub often stores a list of objects as an object of lists."""
    columns = list(lists.values())
    length = len(columns[0]) if columns and isinstance(columns[0], list) else 0
    rows = zip(*(_parallel(values, f"documents.{name}", length) for name, values in lists.items()), strict=True)
    return [dict(zip(lists, row, strict=True)) for row in rows]
