"""What a table without the columns that reranking needs may be instead: for the message that refuses it."""

from __future__ import annotations

from collections.abc import Collection

from stages.sources.settings import ALIASES

# Names that others give to what is ours. They are told, not read: each also means other things.
ALSO_CALLED = {
    "query": ("question", "query_text", "user_input"),
    "documents": ("passages", "contexts", "candidates", "docs", "ctxs", "retrieved_contexts"),
    "text": ("passage_text", "doc_text", "document", "chunk"),
}
TEXTS = {"text", *ALIASES["text"]}
JUDGED = ({"query-id", "corpus-id"}, {"qid", "docid", "relevance"}, {"query_id", "corpus_id"}, {"query_id", "doc_id"})


def neighbour(found: Collection[str]) -> str:
    """What to do about a table of these columns, as the end of a sentence that named them."""
    columns = set(found)
    if {"positive", "negative"} <= columns:
        return "data.format: mteb reads query, positive and negative"
    if "query" not in columns and TEXTS & columns and not columns & set(ALSO_CALLED["query"]):
        return "If these are the texts of a corpus, give them as data.documents of format trec, with data.run"
    if not (TEXTS | {"query"}) & columns and any(names <= columns for names in JUDGED):
        return "If these are judgements, write them as TREC qrels and give that as data.qrels"
    mapped = [f"{ours}: {name}" for ours, names in ALSO_CALLED.items() for name in names if name in columns]
    return "Map them under data.columns" + (f", such as {{{', '.join(mapped)}}}" if mapped else "")
