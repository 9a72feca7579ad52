"""Rankings as Arrow tables, Parquet and TREC run files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stages.core.order import ranking_keys
from stages.core.records import Ranking

BLANK = re.compile(r"\s")

RANKING_SCHEMA = pa.schema(
    [
        pa.field("query_id", pa.string(), nullable=False),
        pa.field("doc_ids", pa.list_(pa.string())),
        pa.field("scores", pa.list_(pa.float64())),
        pa.field("logits", pa.list_(pa.float64())),
        pa.field("tail", pa.list_(pa.string())),
        pa.field("failed", pa.map_(pa.string(), pa.string())),
        pa.field("prompt_tokens", pa.int64()),
        pa.field("cached_tokens", pa.int64()),
        pa.field("truncated_pairs", pa.int64()),
        pa.field("store_hits", pa.int64()),
        pa.field("reused_pairs", pa.int64()),
        pa.field("passages", pa.list_(pa.int32())),
        pa.field("cut_scores", pa.list_(pa.float64())),
        pa.field("cut_logits", pa.list_(pa.float64())),
        pa.field("unscored", pa.int64()),
        pa.field("pair_tokens", pa.list_(pa.int32())),
    ]
)


def rankings_table(rankings: Sequence[Ranking]) -> pa.Table:
    """One row per query, in the given order; `rankings_from` is its inverse."""
    columns = {name: [getattr(ranking, name) for ranking in rankings] for name in RANKING_SCHEMA.names}
    columns["failed"] = [list(failed.items()) for failed in columns["failed"]]
    return pa.table(columns, schema=RANKING_SCHEMA)


def rankings_from(table: pa.Table) -> list[Ranking]:
    """The rankings of a table that `rankings_table` made, or an earlier version's, which had fewer columns."""
    known = [name for name in RANKING_SCHEMA.names if name in table.column_names]
    return [_ranking(row) for row in table.select(known).to_pylist()]


def _ranking(row: dict[str, Any]) -> Ranking:
    lists = {name: tuple(value) for name, value in row.items() if isinstance(value, list) and name != "failed"}
    return Ranking(**(row | lists | {"failed": dict(row["failed"])}))


def read_rankings(folder: Path) -> Iterator[Ranking]:
    """All rankings of a run folder's `rankings/`, file by file."""
    for file in sorted(folder.glob("*.parquet")):
        yield from rankings_from(pq.read_table(file, partitioning=None))


class RankingTable:
    """All rankings of a folder as Arrow, a few bytes for each score, found by query: they come in another order than
    candidates.
    """

    def __init__(self, folder: Path) -> None:
        files = sorted(folder.glob("*.parquet"))
        tables = [pq.read_table(file, columns=RANKING_SCHEMA.names, partitioning=None) for file in files]
        self._table = pa.concat_tables(tables).combine_chunks()
        self._rows = {query_id: row for row, query_id in enumerate(self._table.column("query_id").to_pylist())}

    def of(self, query_id: str) -> Ranking:
        (ranking,) = rankings_from(self._table.slice(self._rows[query_id], 1))
        return ranking


def read_lists(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each query's `ordered()` ids, without reading the rest."""
    for file in sorted(folder.glob("*.parquet")):
        known = [name for name in ("query_id", "doc_ids", "tail", "failed", "unscored") if name in _names(file)]
        for row in pq.read_table(file, columns=known, partitioning=None).to_pylist():
            ranking = _ranking(row | {"scores": [], "logits": []})
            yield ranking.query_id, ranking.ordered()


def _names(file: Path) -> list[str]:
    names: list[str] = pq.read_schema(file).names
    return names


def read_answered(folder: Path) -> Iterator[str]:
    """The queries of which at least one document was scored."""
    for file in sorted(folder.glob("*.parquet")):
        table = pq.read_table(file, columns=["query_id", "doc_ids"], partitioning=None)
        answered = pc.greater(pc.list_value_length(table["doc_ids"]), 0)
        yield from table.filter(answered).column("query_id").to_pylist()


def read_failed(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The queries that have `failed` documents, with these, without reading the rest."""
    for file in sorted(folder.glob("*.parquet")):
        table = pq.read_table(file, columns=["query_id", "failed"], partitioning=None)
        for query_id, failed in zip(*(column.to_pylist() for column in table.columns), strict=True):
            if failed:
                yield query_id, dict(failed)


def write_trec_run(rankings: Iterable[Ranking], stream: TextIO, tag: str) -> None:
    """Write `query Q0 document rank score tag` lines: the reranked documents by what ranked them, then the tail."""
    for ranking in rankings:
        for place, (doc_id, key) in enumerate(zip(ranking.ordered(), ranking_keys(ranking), strict=False), start=1):
            stream.write(f"{_field(ranking.query_id)} Q0 {_field(doc_id)} {place} {key:.9g} {tag}\n")


def _field(name: str) -> str:
    """An id as one field of a line: blanks, which some ids hold, are written as in a URL."""
    return BLANK.sub(lambda blank: quote(blank[0]), name)
