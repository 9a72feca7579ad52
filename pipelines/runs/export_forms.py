"""The forms in which a run's contexts are passed on: a line for each query, TREC lines, or rows of Parquet.

Layouts as their readers have them: rank_llm 0.26 (`rank_llm.data.read_requests_from_file`), ragas 0.4
(`EvaluationDataset.from_jsonl`), our own `data.format: jsonl` and `parquet`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.runs.contexts import Contexts
from stages.files.rankings import write_trec_run
from stages.sources.settings import ALIASES, LIST_COLUMNS, QUERY_COLUMNS

FORMS = ("trec", "rank_llm", "ragas", "jsonl", "parquet")
TAG = "rerank-eval"
# What a query's further column may be called that holds the answer it should get.
REFERENCES = ("reference", "ground_truth", "answer")
# A row's own names: a query's further column of one of these would be read as what it is not.
ROW_NAMES = frozenset(name for ours in QUERY_COLUMNS + LIST_COLUMNS for name in (ours, *ALIASES.get(ours, ())))
ROWS_PER_GROUP = 256


def to_trec(one: Contexts) -> str:
    lines = io.StringIO()
    write_trec_run([one.ranking], lines, TAG)
    return lines.getvalue()


def to_rank_llm(one: Contexts) -> str:
    """Its reader takes the order of the list for the ranking."""
    candidates = [
        {"docid": doc_id, "score": score, "doc": {"contents": text}}
        for doc_id, score, text in zip(one.doc_ids, one.scores, one.texts, strict=True)
    ]
    return _line({"query": {"text": one.query.query, "qid": one.query.query_id}, "candidates": candidates})


def to_ragas(one: Contexts, references: Collection[str]) -> str:
    """With `reference` where one of the columns `references` has it, null where this query alone has none; `query_id`
    and `retrieved_context_scores` are for other readers: ragas drops them.
    """
    row: dict[str, Any] = {
        "query_id": one.query.query_id,
        "user_input": one.query.query,
        "retrieved_contexts": one.texts,
        "retrieved_context_ids": one.doc_ids,
        "retrieved_context_scores": one.scores,
    }
    return _line(row | ({"reference": reference_of(one, references)} if references else {}))


def to_jsonl(one: Contexts) -> str:
    documents = [
        {"id": doc_id, "text": text, "score": score}
        for doc_id, text, score in zip(one.doc_ids, one.texts, one.scores, strict=True)
    ]
    query = one.query
    row: dict[str, Any] = {"query_id": query.query_id, "query": query.query}
    row |= {"instruction": query.instruction} if query.instruction is not None else {}
    return _line(row | {"documents": documents} | _further(query.attributes))


def write_parquet(rows: Iterable[Contexts], names: Collection[str], file: BinaryIO) -> None:
    """A row for each query, with the further columns `names`."""
    further = sorted(name for name in names if name not in ROW_NAMES)
    columns = {
        "query_id": pa.string(),
        "query": pa.string(),
        "instruction": pa.string(),
        "doc_ids": pa.list_(pa.string()),
        "documents": pa.list_(pa.large_string()),
        "scores": pa.list_(pa.float64()),
    }
    schema = pa.schema([*columns.items(), *((name, pa.string()) for name in further)])
    with pq.ParquetWriter(file, schema) as writer:
        remaining = iter(rows)
        while some := list(islice(remaining, ROWS_PER_GROUP)):
            writer.write_table(pa.Table.from_pylist([_parquet_row(one) for one in some], schema))


def reference_of(one: Contexts, references: Collection[str]) -> str | None:
    """The first that is not blank."""
    told = (one.query.attributes.get(name, "") for name in references)
    return next((text for text in told if text.strip()), None)


def _parquet_row(one: Contexts) -> dict[str, Any]:
    query = one.query
    row = {"query_id": query.query_id, "query": query.query, "instruction": query.instruction}
    lists = {"doc_ids": one.doc_ids, "documents": one.texts, "scores": one.scores}
    return row | lists | _further(query.attributes)


def _further(attributes: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in attributes.items() if name not in ROW_NAMES}


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
