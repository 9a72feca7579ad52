"""What was set aside or failed, as failures.parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.core.errors import DataError
from stages.core.records import SetAside

FAILURES_SCHEMA = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("query_id", pa.string()),
        pa.field("doc_id", pa.string()),
        pa.field("reason", pa.string(), nullable=False),
    ]
)

FAILURES_PER_BATCH = 10_000


def failures_table(rows: Sequence[SetAside]) -> pa.Table:
    """One row per set-aside row, with FAILURES_SCHEMA. What UTF-8 cannot hold is written escaped, as `\\udc80`."""
    columns = {
        "file": [_encodable(row.where.file) for row in rows],
        "line": [row.where.line for row in rows],
        "query_id": [_encodable(row.query_id) for row in rows],
        "doc_id": [_encodable(row.doc_id) for row in rows],
        "reason": [_encodable(row.reason) for row in rows],
    }
    return pa.table(columns, schema=FAILURES_SCHEMA)


def write_failures(rows: Iterable[SetAside], path: Path) -> None:
    """Write what was set aside as one Parquet file, complete or not at all; without rows it holds the columns alone.

    Raises DataError where the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(partial, FAILURES_SCHEMA) as writer:
            for batch in _batches(rows, FAILURES_PER_BATCH):
                writer.write_table(failures_table(batch))
        partial.replace(path)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error}; free it or choose another output.dir") from error
    finally:
        partial.unlink(missing_ok=True)


def _encodable(text: str | None) -> str | None:
    return None if text is None else text.encode("utf-8", "backslashreplace").decode("utf-8")


def _batches(items: Iterable[SetAside], size: int) -> Iterator[list[SetAside]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
