"""Judgements as Parquet: what a run was evaluated with, so that what else its scores tell can be computed later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stages.core.records import Judgements

SCHEMA = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("doc_ids", pa.list_(pa.string())),
        pa.field("grades", pa.list_(pa.int64())),
    ]
)

# Where a model judged: what it and people said of each document, null where nothing; parallel to `doc_ids`.
BY_WHOM = ("by_model", "by_people")
JUDGED_SCHEMA = pa.schema([*SCHEMA, *(pa.field(name, pa.list_(pa.int64())) for name in BY_WHOM)])

# Of the file as a whole, in the metadata of its schema: where the judgements are from.
KIND, MATCH, JUDGE = b"kind", b"match", b"judge"


def write_judgements(judgements: Judgements, file: Path) -> None:
    """One row for each judged query, by its id; `read_judgements` is its inverse."""
    rows = sorted(judgements.grades.items())
    columns: dict[str, list[Any]] = {
        "query_id": [query_id for query_id, _ in rows],
        "doc_ids": [list(grades) for _, grades in rows],
        "grades": [list(grades.values()) for _, grades in rows],
    }
    origin, schema = {KIND: judgements.kind, MATCH: judgements.match or ""}, SCHEMA
    if judgements.judge is not None:
        for name, given in zip(BY_WHOM, (judgements.by_model, judgements.by_people), strict=True):
            columns[name] = [[given.get(query_id, {}).get(doc_id) for doc_id in grades] for query_id, grades in rows]
        origin, schema = origin | {JUDGE: judgements.judge}, JUDGED_SCHEMA
    pq.write_table(pa.table(columns, schema=schema.with_metadata(origin)), file)


def read_judgements(file: Path) -> Judgements:
    """Raises OSError where the file cannot be read, ValueError and KeyError where it is another one."""
    table = pq.read_table(file, partitioning=None)
    origin = table.schema.metadata or {}
    judge = origin.get(JUDGE, b"").decode() or None
    columns = table.select([*SCHEMA.names, *(BY_WHOM if judge else ())]).to_pydict()
    by_model, by_people = (_given(columns, name) if judge else {} for name in BY_WHOM)
    return Judgements(
        _given(columns, "grades", every_query=True),
        "answers" if origin.get(KIND) == b"answers" else "qrels",
        origin.get(MATCH, b"").decode() or None,
        judge=judge,
        by_model=by_model,
        by_people=by_people,
    )


def _given(columns: Mapping[str, Any], name: str, *, every_query: bool = False) -> dict[str, dict[str, int]]:
    """Query id -> document id -> grade, without the nulls, and without queries that then have none."""
    rows = zip(columns["query_id"], columns["doc_ids"], columns[name], strict=True)
    found = {
        query_id: {doc_id: grade for doc_id, grade in zip(doc_ids, grades, strict=True) if grade is not None}
        for query_id, doc_ids, grades in rows
    }
    return {query_id: grades for query_id, grades in found.items() if grades or every_query}
