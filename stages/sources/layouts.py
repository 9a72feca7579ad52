"""How rows hold queries and documents: one row per query with its documents, or one row per pair."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from stages.core.prepare import Report, as_id, id_fault
from stages.core.records import Location, RawDocument, RawQuery, SetAside
from stages.sources.columns import Columns, MalformedRowError, as_text
from stages.sources.json_texts import is_json, refuse_json_texts
from stages.sources.lines import Record
from stages.sources.row_files import RowTable
from stages.sources.text_keys import document_text

UNRETRIEVED = "unretrieved"  # documents beside those of `documents` that were judged, and not retrieved
Get = Callable[[Mapping[str, object], str], object]


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
    """A query and its documents, with the relevance that rows give them (None: not judged).

    `unretrieved` were judged, and are not among the candidates.
    """

    query_id: object
    query: object
    where: Location
    instruction: object = None
    attributes: dict[str, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    unretrieved: list[Entry] = field(default_factory=list)
    answers: object = None

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
        for entry in self.unretrieved:
            if (doc_id := as_id(entry.doc_id)) is not None and entry.relevance is not None:
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
        query_id = None
        try:
            query = _judged_query(record, columns, f"q{number}")
            query_id = as_id(query.query_id)
            query.entries = _entries(record, columns)
            query.unretrieved = _unretrieved(record, columns)
        except MalformedRowError as error:
            set_aside(SetAside(record.where, str(error), query_id))
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
        try:
            _add_pair(queries, known, record, columns)
        except MalformedRowError as error:
            set_aside(SetAside(record.where, str(error), _known_id(record, columns)))
    yield from queries.values()


def _add_pair(queries: dict[str, JudgedQuery], known: dict[str, str], record: Record, columns: Columns) -> None:
    """Raises MalformedRowError where the row cannot be used."""
    text = columns.get(record.fields, "query")
    given = columns.get(record.fields, "query_id") if columns.has("query_id") else text
    if text is not None and not isinstance(text, str):
        raise MalformedRowError(f"query is not a string but {type(text).__name__}")
    key = as_id(given)
    if key is None:
        raise MalformedRowError(id_fault("query id", given))
    if text is None:
        raise MalformedRowError("query is not a string")
    entry = _entry(record.fields, columns.get, record.where)
    query = queries.get(key) or _judged_query(record, columns, f"q{len(queries) + 1}")
    if text != query.query:
        raise MalformedRowError(f"another query text than in {query.where}")
    if (answers := columns.answers(record.fields)) is not None and answers != query.answers:
        raise MalformedRowError(f"other answers than in {query.where}")
    if isinstance(entry.text, str):
        entry = replace(entry, text=known.setdefault(entry.text, entry.text))
    queries[key] = query
    query.entries.append(entry)
    query.attributes = dict(query.attributes.items() & columns.attributes(record.fields).items())


def _known_id(record: Record, columns: Columns) -> str | None:
    return as_id(columns.get(record.fields, "query_id")) if columns.has("query_id") else None


def _judged_query(record: Record, columns: Columns, made_id: str) -> JudgedQuery:
    given = columns.get(record.fields, "query_id")
    if given is not None and not columns.has("query_id"):
        raise MalformedRowError("a query id, where the first rows have none: give every row one")
    return JudgedQuery(
        query_id=given if columns.has("query_id") else made_id,
        query=columns.get(record.fields, "query"),
        where=record.where,
        instruction=columns.get(record.fields, "instruction"),
        attributes=columns.attributes(record.fields),
        answers=columns.answers(record.fields),
    )


def _entry(fields: Mapping[str, object], get: Get, where: Location) -> Entry:
    text = get(fields, "text")
    return Entry(
        doc_id=get(fields, "doc_id"),
        text=None if text is None else document_text(get(fields, "title"), text),
        score=get(fields, "score"),
        relevance=get(fields, "relevance"),
        where=where,
    )


def _entries(record: Record, columns: Columns) -> list[Entry]:
    documents = columns.get(record.fields, "documents")
    if isinstance(documents, dict):
        documents = _transposed(documents)
    if not isinstance(documents, list):
        hint = " (JSON written as text: decode it)" if is_json(documents) else ""
        raise MalformedRowError(f"documents is not a list but {type(documents).__name__}{hint}")
    refuse_json_texts(documents, columns)
    length = len(documents)
    ids, scores, relevances = (
        _parallel(columns.get(record.fields, name), name, length) for name in ("doc_ids", "scores", "relevances")
    )
    entries = []
    for document, *given in zip(documents, ids, scores, relevances, strict=True):
        doc_id, score, relevance = map(as_text, given)
        beside = Entry(doc_id, as_text(document), score, relevance, record.where)
        own = isinstance(document, dict)
        entries.append(_both(_entry(document, columns.within, record.where), beside) if own else beside)
    _require_text(documents, columns)
    return entries


def _both(own: Entry, beside: Entry) -> Entry:
    """What an object says of itself, and else the lists beside the objects. Raises MalformedRowError if both say it."""
    for name in ("doc_id", "score", "relevance"):
        given, other = getattr(own, name), getattr(beside, name)
        if other is None:
            continue
        if given is not None and given != other:
            raise MalformedRowError(f"two values of {name}, in a document and in the list beside: leave out one")
        own = replace(own, **{name: other})
    return own


def _require_text(documents: Sequence[object], columns: Columns) -> None:
    """Documents that are objects and have no text under any name are told once, with the names that they have."""
    found = dict.fromkeys(key for one in documents if isinstance(one, dict) for key in one)
    looked = columns.names("text")
    if found and found.keys().isdisjoint(looked) and all(isinstance(one, dict) for one in documents):
        told = f"no document has a text ({', '.join(looked)}), map it under data.columns"
        raise MalformedRowError(f"{told}: found {', '.join(map(str, found))}")


def _unretrieved(record: Record, columns: Columns) -> list[Entry]:
    missed = record.fields.get(UNRETRIEVED)
    documents = missed if isinstance(missed, list) else []
    return [_entry(one, columns.within, record.where) for one in documents if isinstance(one, dict)]


def _parallel(values: object, name: str, length: int) -> list[object]:
    if values is None:
        return [None] * length
    if not isinstance(values, list):
        raise MalformedRowError(f"{name} is not a list but {type(values).__name__}")
    if len(values) != length:
        raise MalformedRowError(f"{name} has {len(values)} entries, documents {length}")
    return values


def _transposed(lists: Mapping[str, object]) -> list[object]:
    """The Hub often stores a list of objects as an object of lists."""
    columns = list(lists.values())
    length = len(columns[0]) if columns and isinstance(columns[0], list) else 0
    rows = zip(*(_parallel(values, f"documents.{name}", length) for name, values in lists.items()), strict=True)
    return [dict(zip(lists, row, strict=True)) for row in rows]
