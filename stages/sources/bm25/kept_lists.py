"""The file of the lists that BM25 gave: one row a query, and how they were made in its metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from stages.core.first_stage import MadeFirstStage
from stages.sources.bm25.index import Index
from stages.sources.formats.lists import Stretch
from stages.sources.lines import reading

SCHEMA = pa.schema(
    [("query_id", pa.string()), ("doc_ids", pa.list_(pa.large_string())), ("scores", pa.list_(pa.float32()))]
)
MADE = b"made"  # the key of the file's metadata under which its MadeFirstStage stands
LISTS_AT_ONCE = 256


def write_lists(
    file: Path, index: Index, queries: Mapping[str, str], top: int, made: Callable[[list[str]], MadeFirstStage]
) -> None:
    """Search for all queries. `made` is called with the ids of those for which nothing was found."""
    nothing: list[str] = []
    with pq.ParquetWriter(file, SCHEMA, write_page_checksum=True) as writer:
        rows: list[dict[str, object]] = []
        for place, (query_id, text) in enumerate(queries.items(), 1):
            found = index.search(text, top)
            if not found.doc_ids:
                nothing.append(query_id)
            rows.append({"query_id": query_id, "doc_ids": found.doc_ids, "scores": found.scores})
            if len(rows) == LISTS_AT_ONCE or place == len(queries):
                writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
                rows = []
        writer.add_key_value_metadata({MADE: json.dumps(asdict(made(nothing)))})


def read_lists(file: Path) -> Iterator[Stretch]:
    with reading(file):
        for batch in pq.ParquetFile(file, page_checksum_verification=True).iter_batches(LISTS_AT_ONCE):
            for row in batch.to_pylist():
                yield Stretch(row["query_id"], row["doc_ids"], row["scores"])


def read_made(file: Path) -> MadeFirstStage:
    with reading(file):
        return MadeFirstStage(**json.loads(pq.read_metadata(file).metadata[MADE]))


def is_whole(file: Path) -> bool:
    """Whether all of it can be read, by its checksums."""
    try:
        for _ in pq.ParquetFile(file, page_checksum_verification=True).iter_batches():
            pass
        return MADE in (pq.read_metadata(file).metadata or {})
    except (OSError, pa.ArrowException):
        return False
