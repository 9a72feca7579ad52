"""The judgements that a run was evaluated by, beside its lists: what is not judged is told of two runs later."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.core.records import Judgements

JUDGEMENTS_SCHEMA = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("doc_ids", pa.list_(pa.string())),
        pa.field("grades", pa.list_(pa.int64())),
    ]
)


def write_judgements(judgements: Judgements, file: Path) -> None:
    """A row for each judged query; nothing where there is none."""
    if not len(judgements):
        return
    columns = {
        "query_id": list(judgements.grades),
        "doc_ids": [list(grades) for grades in judgements.grades.values()],
        "grades": [[int(grade) for grade in grades.values()] for grades in judgements.grades.values()],
    }
    pq.write_table(pa.table(columns, schema=JUDGEMENTS_SCHEMA), file)


def read_judgements(file: Path) -> Judgements | None:
    """None where there is no such file, as in runs of before it was kept."""
    if not file.is_file():
        return None
    columns = pq.read_table(file, partitioning=None).to_pydict()
    rows = zip(columns["query_id"], columns["doc_ids"], columns["grades"], strict=True)
    return Judgements({query_id: dict(zip(doc_ids, grades, strict=True)) for query_id, doc_ids, grades in rows})
