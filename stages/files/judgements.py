"""Judgements as Parquet: what a run was evaluated with, so that what else its scores tell can be computed later."""

from __future__ import annotations

from pathlib import Path

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

# Of the file as a whole, in the metadata of its schema: where the judgements are from.
KIND, MATCH = b"kind", b"match"


def write_judgements(judgements: Judgements, file: Path) -> None:
    """One row for each judged query, by its id; `read_judgements` is its inverse."""
    rows = sorted(judgements.grades.items())
    columns = {
        "query_id": [query_id for query_id, _ in rows],
        "doc_ids": [list(grades) for _, grades in rows],
        "grades": [list(grades.values()) for _, grades in rows],
    }
    origin = {KIND: judgements.kind, MATCH: judgements.match or ""}
    pq.write_table(pa.table(columns, schema=SCHEMA.with_metadata(origin)), file)


def read_judgements(file: Path) -> Judgements:
    """Raises OSError where the file cannot be read, ValueError and KeyError where it is another one."""
    table = pq.read_table(file, partitioning=None).select(SCHEMA.names)
    columns, origin = table.to_pydict(), table.schema.metadata or {}
    rows = zip(columns["query_id"], columns["doc_ids"], columns["grades"], strict=True)
    return Judgements(
        {query_id: dict(zip(doc_ids, grades, strict=True)) for query_id, doc_ids, grades in rows},
        "answers" if origin.get(KIND) == b"answers" else "qrels",
        origin.get(MATCH, b"").decode() or None,
    )
