"""Under which keys a record has its id and its text, as the collections that people have call them.

`_id` and `text` are BEIR's, and count whatever stands beside them. Of other names one may be there; where there are
two, with two values, nobody can tell which is meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice

from stages.core.errors import DataError
from stages.core.prepare import as_id
from stages.sources.lines import Record

ID, TEXT = "_id", "text"
# MS MARCO v2 has headings above a body or segment, and its own reader in ir_datasets joins all three.
UNDER_HEADINGS = ("body", "segment")
KEYS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class TextKeys:
    """`ids` and `texts` may be names of the one or the other; `fallbacks` are for a text where none of these is there.

    `what` is told of, `columns` are the names of id and text in `data.columns`.
    """

    what: str
    ids: tuple[str, ...]
    texts: tuple[str, ...]
    fallbacks: tuple[str, ...]
    columns: tuple[str, str]

    def id_of(self, fields: Mapping[str, object]) -> str | None:
        """Raises ValueError, with what to tell, where there is none, or are two."""
        if (found := as_id(fields.get(ID))) is not None:
            return found
        given = {name: one for name in self.ids if name in fields and (one := as_id(fields[name])) is not None}
        if "pid" in given:
            given.pop("docid", None)  # MS MARCO v2: the document that the passage is of
        if not given:
            raise ValueError(f"no id; it stands under {', '.join(self.ids)}")
        if len(set(given.values())) > 1:
            raise ValueError(self._several("ids", given, self.columns[0]))
        return next(iter(given.values()))

    def text_key(self, fields: Mapping[str, object]) -> str | None:
        """Where the text stands; None where no key of a text is there. Raises ValueError where two have one."""
        if TEXT in fields and ID in fields:
            return TEXT
        given = {name: fields[name] for name in self.texts if name in fields}
        if not given:
            return next((name for name in self.fallbacks if name in fields), None)
        some = {name: value for name, value in given.items() if value not in (None, "")} or given
        first = next(iter(some))
        if any(value != some[first] for value in some.values()):
            raise ValueError(self._several("texts", some, self.columns[1]))
        return first

    def document(self, fields: Mapping[str, object]) -> object:
        """The text of a document with its title and headings; "" where it has none. Raises ValueError as `text_key`."""
        key = self.text_key(fields)
        return "" if key is None else document_text(fields.get("title"), _under_headings(fields, key), key)

    def missing(self, record: Record) -> DataError:
        """That this record, and none of the others, has a text."""
        names, found = ", ".join((*self.texts, *self.fallbacks)), ", ".join(_shown_keys(record.fields))
        return DataError(
            f"{record.where.file}: no {self.what} has a text, which stands under {names}; line {record.where.line} has "
            f"{found or 'no key at all'}. Name the one that holds it: data.columns: {{{self.columns[1]}: ITS_KEY}}"
        )

    def form(self) -> str:
        """Which lines a file should have."""
        return f'{self.what} texts are lines of `{{"_id": .., "text": ..}}`, or `id<TAB>text`'

    def renamed(self, records: Iterable[Record], columns: Mapping[str, str]) -> Iterator[Record]:
        """The records with id, text and others under the keys that count, from those that `data.columns` names; what
        else might be an id, or a text, is left out then.
        """
        ours = {self.columns[0]: ID, self.columns[1]: TEXT, "title": "title", "instruction": "instruction"}
        theirs = {ours[name]: given for name, given in columns.items() if name in ours}
        dropped = {*theirs, *(self.ids if ID in theirs else ()), *(self.texts if TEXT in theirs else ())}
        for record in records:
            found = {name: record.fields[given] for name, given in theirs.items() if given in record.fields}
            kept = {name: value for name, value in record.fields.items() if name not in dropped}
            yield replace(record, fields={**kept, **found})

    def _several(self, what: str, given: Iterable[str], column: str) -> str:
        return f"two {what}, under {' and '.join(given)}; name the one that counts: data.columns: {{{column}: ITS_KEY}}"


def document_text(title: object, text: object, key: str = TEXT) -> object:
    """`title + " " + text` as BEIR's own evaluation joins them; a text that is no string is given back as it is.

    Pyserini's `contents` begin with the title where there is one.
    """
    if text is None:
        text = ""
    if not isinstance(text, str) or not isinstance(title, str) or not title:
        return text
    if key == "contents" and text.startswith(title):
        return text
    return f"{title} {text}".strip()


def _shown_keys(fields: Mapping[str, object]) -> Iterator[str]:
    """The keys, and in brackets those of an object under one: rank_llm and Pyserini hold texts in `doc.contents`."""
    for name, value in islice(fields.items(), KEYS_SHOWN):
        inner = ", ".join(map(str, islice(value, KEYS_SHOWN))) if isinstance(value, dict) else ""
        yield f"{name} ({inner})" if inner else name


def _under_headings(fields: Mapping[str, object], key: str) -> object:
    text, headings = fields[key], fields.get("headings")
    if key not in UNDER_HEADINGS or not isinstance(headings, str) or not headings or not isinstance(text, str):
        return text
    return f"{headings} {text}"


DOCUMENTS = TextKeys(
    what="document",
    ids=("_id", "id", "doc_id", "docid", "docno", "pid"),
    texts=("text", "contents", "content", "body", "passage", "segment"),
    fallbacks=(),
    columns=("doc_id", "text"),
)
QUERIES = TextKeys(
    what="query",
    ids=("_id", "id", "query_id", "qid", "query-id", "topic_id"),
    texts=("text", "query", "query_text", "question"),
    fallbacks=("title", "narrative"),  # of TREC's topics, the shortest that is there
    columns=("query_id", "query"),
)
