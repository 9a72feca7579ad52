"""Candidates as they are left where texts are not to be kept: ids, scores, and digests in place of texts."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.core.records import Candidates
from stages.core.withheld import label_columns, text_digest
from stages.files.tables import read_candidates, writing

# Other columns than those of whole candidates: a digest is never taken for a text.
SCHEMA = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("query_digest", pa.string(), nullable=False),
        pa.field("instruction_digest", pa.string()),
        pa.field("doc_ids", pa.list_(pa.string())),
        pa.field("text_digests", pa.list_(pa.string())),
        pa.field("scores", pa.list_(pa.float64())),
        pa.field("tail", pa.list_(pa.string())),
        pa.field("attributes", pa.map_(pa.string(), pa.string())),
        pa.field("listed", pa.list_(pa.string())),
        pa.field("order_only", pa.bool_()),
    ]
)
QUERIES_PER_FILE = 256


def labels_of(whole: Path) -> frozenset[str]:
    """The columns of the candidates' queries, beside their texts, that tell none (see `label_columns`)."""
    return label_columns(candidates.attributes for candidates in read_candidates(whole))


def write_without_texts(whole: Path, folder: Path, labels: Collection[str]) -> None:
    """The candidates of the folder `whole` once more in `folder`, without texts and without columns but `labels`.

    Raises DataError where it cannot be read or written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for number, rows in enumerate(_several(read_candidates(whole))):
        with writing(folder):
            pq.write_table(_table(rows, labels), folder / f"part-{number:05d}.parquet")


def _table(rows: list[Candidates], labels: Collection[str]) -> pa.Table:
    columns = {
        "query_id": [row.query_id for row in rows],
        "query_digest": [text_digest(row.query) for row in rows],
        "instruction_digest": [None if row.instruction is None else text_digest(row.instruction) for row in rows],
        "doc_ids": [row.doc_ids for row in rows],
        "text_digests": [[text_digest(text) for text in row.texts] for row in rows],
        "scores": [row.scores for row in rows],
        "tail": [row.tail for row in rows],
        "attributes": [[one for one in row.attributes.items() if one[0] in labels] for row in rows],
        "listed": [row.listed for row in rows],
        "order_only": [row.order_only for row in rows],
    }
    return pa.table(columns, schema=SCHEMA)


def _several(candidates: Iterator[Candidates]) -> Iterator[list[Candidates]]:
    rows: list[Candidates] = []
    for one in candidates:
        rows.append(one)
        if len(rows) == QUERIES_PER_FILE:
            yield rows
            rows = []
    if rows:
        yield rows
