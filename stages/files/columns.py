"""Some columns of a folder of candidates, without its texts: what a folder that was left without texts has, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from stages.core.records import Candidates
from stages.files.tables import column_of, part_files, readable


def read_listed(folder: Path) -> Iterator[Candidates]:
    """The queries in the order they were written, with ids and scores alone: `query`, `texts` and `attributes` are
    empty. Raises DataError where there is none, or a file cannot be read.
    """
    for file in part_files(folder):
        with readable(file):
            columns = read_columns(file, ("query_id", "doc_ids", "scores", "tail", "listed"))
        for query_id, doc_ids, scores, tail, listed in zip(*columns, strict=True):
            yield Candidates(query_id, "", tuple(doc_ids), (), tuple(scores), tuple(tail), listed=tuple(listed))


class QueryTexts(NamedTuple):
    """A query's text, None where the folder was left without texts, and those of its candidates, or their digests."""

    query: str | None
    texts: tuple[str, ...]


def read_texts(folder: Path) -> Iterator[QueryTexts]:
    """Of each query in the order they were written. Raises DataError as `read_listed` does."""
    for file in part_files(folder):
        with readable(file):
            whole = "texts" in pq.read_schema(file).names
            names = ("query", "texts") if whole else ("query_id", "text_digests")
            rows = zip(*read_columns(file, names), strict=True)
        for query, texts in rows:
            yield QueryTexts(query if whole else None, tuple(texts))


def attribute_names(folder: Path) -> set[str]:
    """The names of all further columns that the folder's queries have. Raises DataError as `read_listed` does."""
    names: set[str] = set()
    for file in part_files(folder):
        with readable(file):
            column = pq.read_table(file, columns=["attributes"], partitioning=None).column("attributes")
        names.update(name for attributes in column.to_pylist() for name, _ in attributes)
    return names


def read_first_stage(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The ids of each query's list as it was given, in first-stage order, without reading a text."""
    for file in sorted(folder.glob("part-*.parquet")):
        for query_id, doc_ids, tail, listed in zip(
            *read_columns(file, ("query_id", "doc_ids", "tail", "listed")), strict=True
        ):
            yield query_id, (*(listed or doc_ids), *tail)


def read_columns(file: Path, names: Sequence[str]) -> list[list[Any]]:
    """Columns of a file of candidates, as lists; those that an earlier version did not write as empty ones."""
    there = pq.read_schema(file).names
    table = pq.read_table(file, columns=[name for name in names if name in there], partitioning=None)
    return [column_of(table, name) for name in names]
