from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from stages.core.records import Location, SetAside
from stages.files.failures import FAILURES_SCHEMA, write_failures


def test_failures_are_written_with_file_line_ids_and_reason(tmp_path: Path) -> None:
    rows = [
        SetAside(Location("run.trec", 7), "score is not a number", "q1", "d1"),
        SetAside(Location("a\udc80.jsonl", 1), "document id cannot be encoded as UTF-8", None, "\ud800"),
    ]
    write_failures(iter(rows), tmp_path / "new" / "failures.parquet")
    table = pq.read_table(tmp_path / "new" / "failures.parquet")
    assert table.schema.equals(FAILURES_SCHEMA)
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("run.trec", 7, "q1", "d1", "score is not a number"),
        ("a\\udc80.jsonl", 1, None, "\\ud800", "document id cannot be encoded as UTF-8"),
    ]


def test_failures_are_written_even_when_there_are_none(tmp_path: Path) -> None:
    write_failures([], tmp_path / "failures.parquet")
    table = pq.read_table(tmp_path / "failures.parquet")
    assert (table.num_rows, table.schema.equals(FAILURES_SCHEMA)) == (0, True)
