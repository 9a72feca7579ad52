"""What rank_llm, Pyserini and Anserini hand to each other: requests and results, a query with its candidates each.

The list's order is the ranking (see `scores_in_order`). `judgment`, as Ragnarok and Umbrela add it, is a label.
"""

from __future__ import annotations

from collections.abc import Mapping

from stages.sources.formats.shape import Fields, Shape, UnfitRecordError, listed, others, scores_in_order

TEXT_KEYS = ("text", "segment", "contents", "content", "body", "passage", "raw")
"""Where the text of a `doc` stands: the first of them counts, as in rank_llm."""


def _is_request(fields: Fields) -> bool:
    query = fields.get("query")
    return isinstance(query, dict) and "text" in query and "candidates" in fields


def _is_hits(fields: Fields) -> bool:
    return isinstance(fields.get("query"), str) and isinstance(fields.get("hits"), list)


def _from_request(fields: Fields, _: Mapping[str, str]) -> dict[str, object]:
    query = fields.get("query")
    if not isinstance(query, dict):
        raise UnfitRecordError("query is not an object with text and qid")
    candidates = listed(fields, "candidates")
    documents = [_document(candidate, "doc") for candidate in candidates]
    known = {"query_id": query.get("qid"), "query": query.get("text"), "documents": _in_order(documents)}
    return others(fields, "query", "candidates") | {name: value for name, value in known.items() if value is not None}


def _from_hits(fields: Fields, _: Mapping[str, str]) -> dict[str, object]:
    """The oldest form: the query's id stands in each of its hits."""
    hits = listed(fields, "hits")
    row = {**others(fields, "hits"), "documents": _in_order([_document(hit, None) for hit in hits])}
    first = hits[0] if hits else None
    return row | ({"query_id": first["qid"]} if isinstance(first, dict) and "qid" in first else {})


def _document(candidate: object, under: str | None) -> dict[str, object]:
    if not isinstance(candidate, dict):
        raise UnfitRecordError(f"a candidate is not an object but {type(candidate).__name__}")
    doc = candidate if under is None else candidate.get(under)
    content = doc if isinstance(doc, dict) else {"text": doc}
    text = next((content[key] for key in TEXT_KEYS if content.get(key) is not None), None)
    return {
        "doc_id": candidate.get("docid"),
        "text": text,
        "title": _title(content.get("title"), text),
        "score": candidate.get("score"),
        "relevance": candidate.get("judgment"),
    }


def _title(title: object, text: object) -> object:
    """None where the text begins with it, as Anserini's `contents` do."""
    return None if isinstance(title, str) and isinstance(text, str) and text.startswith(title) else title


def _in_order(documents: list[dict[str, object]]) -> list[dict[str, object]]:
    scores = scores_in_order([document["score"] for document in documents])
    return [{**document, "score": score} for document, score in zip(documents, scores, strict=True)]


SHAPES = (
    Shape("rank_llm", "requests or results of rank_llm, Pyserini or Anserini", _is_request, _from_request),
    Shape("rank_llm", "requests of an early rank_llm, with hits", _is_hits, _from_hits),
)
