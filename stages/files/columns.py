"""Some columns of a folder of candidates, without its texts: what a folder that was left without texts has, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from stages.core.records import Candidates
from stages.files.tables import column_values, part_files, readable


def read_listed(folder: Path) -> Iterator[Candidates]:
    """The queries in the order they were written, with ids and scores alone: `query`, `texts` and `attributes` are
    empty. Raises DataError where there is none, or a file cannot be read.
    """
    names = ("query_id", "doc_ids", "scores", "tail", "listed")
    for file in part_files(folder):
        with readable(file):
            there = pq.read_schema(file).names
            table = pq.read_table(file, columns=[name for name in names if name in there], partitioning=None)
            columns = [column_values(table, name) for name in names]
        for query_id, *lists in zip(*columns, strict=True):
            doc_ids, scores, tail, listed = map(tuple, lists)
            yield Candidates(query_id, "", doc_ids, (), scores, tail, listed=listed)


def attribute_names(folder: Path) -> set[str]:
    """The names of all further columns that the folder's queries have. Raises DataError as `read_listed` does."""
    names: set[str] = set()
    for file in part_files(folder):
        with readable(file):
            column = pq.read_table(file, columns=["attributes"], partitioning=None).column("attributes")
        names.update(name for attributes in column.to_pylist() for name, _ in attributes)
    return names
