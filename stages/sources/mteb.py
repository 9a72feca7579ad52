"""MTEB's reranking form: a query, its `positive` texts and its `negative` texts."""

from __future__ import annotations

from collections.abc import Iterator

from stages.core.prepare import Report, as_id
from stages.core.records import SetAside
from stages.sources.columns import Columns, as_text
from stages.sources.digests import made_id, shuffled_key
from stages.sources.layouts import Entry, JudgedQuery
from stages.sources.lines import Record
from stages.sources.row_files import RowTable


def by_relevance(table: RowTable, columns: Columns, set_aside: Report) -> Iterator[JudgedQuery]:
    """Each row's query with its candidates, shuffled by a hash so that their order tells nothing; grades are 1 and 0.

    A row with several queries, which MTEB counts as formulations of one, gives one query for each: q1.1, q1.2, ...
    """
    for number, record in enumerate(table.records(set_aside), 1):
        given_id = columns.get(record.fields, "query_id") if columns.has("query_id") else f"q{number}"
        query_id = as_id(given_id)
        queries = columns.get(record.fields, "query")
        entries = _entries(record, columns, set_aside)
        if entries is None:
            continue
        formulations = queries if isinstance(queries, list) else [queries]
        for part, query in enumerate(formulations, 1):
            own_id = f"{query_id}.{part}" if query_id and len(formulations) > 1 else given_id
            yield JudgedQuery(
                own_id,
                query,
                record.where,
                columns.get(record.fields, "instruction"),
                columns.attributes(record.fields),
                sorted(entries, key=lambda entry: shuffled_key(query, entry.text)),
            )


def _entries(record: Record, columns: Columns, set_aside: Report) -> list[Entry] | None:
    """The positives, then the negatives; None where they are not lists. What is no string in them is set aside."""
    entries = []
    for name, grade in (("positive", 1), ("negative", 0)):
        texts = columns.get(record.fields, name)
        if not isinstance(texts, list):
            set_aside(SetAside(record.where, f"{name} is not a list but {type(texts).__name__}"))
            return None
        for text in map(as_text, texts):
            if isinstance(text, str) and text.strip():
                entries.append(Entry(made_id(text), text, None, grade, record.where))
            else:
                set_aside(SetAside(record.where, f"{name} holds an entry without text"))
    return entries
