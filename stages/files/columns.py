"""Some columns of a folder of candidates, without its texts: what a folder that was left without texts has, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from stages.core.records import Candidates
from stages.files.tables import part_files, readable


def read_listed(folder: Path) -> Iterator[Candidates]:
    """The queries in the order they were written, with ids and scores alone: `query`, `texts` and `attributes` are
    empty. Raises DataError where there is none, or a file cannot be read.
    """
    columns = ["query_id", "doc_ids", "scores", "tail"]
    for file in part_files(folder):
        with readable(file):
            table = pq.read_table(file, columns=columns, partitioning=None)
        for query_id, doc_ids, scores, tail in zip(*(table.column(name).to_pylist() for name in columns), strict=True):
            yield Candidates(query_id, "", tuple(doc_ids), (), tuple(scores), tuple(tail))


def attribute_names(folder: Path) -> set[str]:
    """The names of all further columns that the folder's queries have. Raises DataError as `read_listed` does."""
    names: set[str] = set()
    for file in part_files(folder):
        with readable(file):
            column = pq.read_table(file, columns=["attributes"], partitioning=None).column("attributes")
        names.update(name for attributes in column.to_pylist() for name, _ in attributes)
    return names
