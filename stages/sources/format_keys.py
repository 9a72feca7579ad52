"""Per format the keys of the section `data` that it needs, and those that it takes besides those of `EVERYWHERE`."""

from __future__ import annotations

from typing import Literal

Format = Literal[
    "beir",
    "trec",
    "msmarco",
    "jsonl",
    "parquet",
    "huggingface",
    "mteb",
    "ir_datasets",
    "json",
    "csv",
    "rank_llm",
    "flagembedding",
    "tevatron",
    "sentence_transformers",
    "langchain",
    "llamaindex",
    "haystack",
]

NEEDED: dict[str, tuple[str, ...]] = {
    "beir": ("path", "run"),
    "trec": ("run", "qrels", "queries", "documents"),
    "msmarco": ("path",),
    "jsonl": ("path",),
    "parquet": ("path",),
    "huggingface": ("path",),
    "mteb": ("path",),
    "ir_datasets": ("path",),
    "json": ("path",),
    "csv": ("path",),
    "rank_llm": ("path",),
    "flagembedding": ("path",),
    "tevatron": ("path",),
    "sentence_transformers": ("path",),
    "langchain": ("path",),
    "llamaindex": ("path",),
    "haystack": ("path",),
}
MADE = ("first_stage", "bm25")  # where there is a corpus that can be searched
TAKEN: dict[str, tuple[str, ...]] = {
    "beir": (*MADE, "runs", "run_columns", "split", "qrels", "queries", "documents", "columns"),
    "trec": (*MADE, "runs", "run_columns", "columns"),
    "msmarco": (*MADE, "split", "run", "runs", "run_columns", "qrels", "queries", "documents"),
    "jsonl": ("qrels", "columns"),
    "parquet": ("qrels", "columns"),
    "huggingface": ("split", "subset", "revision", "qrels", "columns"),
    "mteb": (*MADE, "split", "subset", "revision", "columns", "run", "runs", "run_columns", "qrels"),
    "ir_datasets": (*MADE, "run", "runs", "run_columns", "qrels"),
    "json": ("qrels", "columns"),
    "csv": ("qrels", "columns"),
    "rank_llm": ("split", "subset", "revision", "qrels"),
    "flagembedding": ("split", "subset", "revision", "qrels"),
    "tevatron": ("split", "subset", "revision", "qrels"),
    "sentence_transformers": ("split", "subset", "revision", "qrels"),
    "langchain": ("split", "subset", "revision", "qrels", "columns"),
    "llamaindex": ("split", "subset", "revision", "qrels", "columns"),
    "haystack": ("split", "subset", "revision", "qrels", "columns"),
}
EVERYWHERE = ("format", "depth", "limit", "drop_self", "judgements")
