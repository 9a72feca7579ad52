"""Queries with their relevant and their other documents apart, as rerankers are trained and tested: FlagEmbedding,
Tevatron, sentence-transformers.

Their order gives the labels away, so it is no first stage: each list is shuffled by a hash. Scores beside them are a
teacher's. Only sentence-transformers' `documents` are ranked, best first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from stages.sources.digests import made_id, shuffled_key
from stages.sources.formats.shape import LABELS_APART, Fields, Shape, UnfitRecordError, listed, others, query_id_of

Translate = Callable[[Fields, Mapping[str, str]], dict[str, object]]


def _has(*names: str) -> Callable[[Fields], bool]:
    return lambda fields: all(name in fields for name in names)


def _apart(positive: str, negative: str) -> Translate:
    """Of records that hold both kinds under these names."""

    def translate(fields: Fields, _: Mapping[str, str]) -> dict[str, object]:
        query = fields.get("query")
        documents = [*_judged(_texts(fields, positive), 1), *_judged(_texts(fields, negative), 0)]
        documents.sort(key=lambda document: shuffled_key(query, document["text"]))
        return {**others(fields, positive, negative), **query_id_of(fields), "query": query, "documents": documents}

    return translate


def _ranked(fields: Fields, _: Mapping[str, str]) -> dict[str, object]:
    """`documents` best first, of which those are relevant whose text is among `positive`; the others of `positive`
    were not retrieved.
    """
    positive = _texts(fields, "positive")
    texts = listed(fields, "documents")
    documents = [_judged([text], int(text in positive))[0] for text in texts]
    missed = _judged([text for text in positive if text not in texts], 1)
    row = {**others(fields, "positive"), **query_id_of(fields), "query": fields.get("query"), "documents": documents}
    return row | {"unretrieved": missed}


def _pair(fields: Fields, _: Mapping[str, str]) -> dict[str, object]:
    """A candidate with its query: `score` is the retriever's."""
    renamed = {name: value for name, value in fields.items() if name != "docid"}
    return {**renamed, "doc_id": fields.get("docid")}


def _texts(fields: Fields, name: str) -> list[object]:
    """A list, or the one text."""
    one = fields.get(name)
    return [one] if isinstance(one, str) else listed(fields, name)


def _judged(documents: Iterable[object], grade: int) -> list[dict[str, object]]:
    """Texts, or objects with docid, title and text."""
    return [_document(document) | {"relevance": grade} for document in documents]


def _document(document: object) -> dict[str, object]:
    if isinstance(document, str):
        return {"doc_id": made_id(document), "text": document}
    if isinstance(document, dict) and "docid" in document:
        return {"doc_id": document["docid"], "title": document.get("title"), "text": document.get("text")}
    raise UnfitRecordError(f"a document is neither a text nor an object with docid, but {type(document).__name__}")


SHAPES = (
    Shape(
        "flagembedding",
        "training or evaluation rows of FlagEmbedding",
        _has("query", "pos", "neg"),
        _apart("pos", "neg"),
        unranked=LABELS_APART,
    ),
    Shape(
        "tevatron",
        "training rows of Tevatron",
        _has("query", "positive_passages", "negative_passages"),
        _apart("positive_passages", "negative_passages"),
        unranked=LABELS_APART,
    ),
    Shape(
        "tevatron",
        "Tevatron's input of rerankers, a pair a line",
        _has("query_id", "query", "docid", "text"),
        _pair,
        ("query", "doc_id", "title", "text", "score"),
    ),
    Shape(
        "sentence_transformers",
        "reranking rows of sentence-transformers, ranked",
        _has("query", "positive", "documents"),
        _ranked,
    ),
    Shape(
        "sentence_transformers",
        "reranking rows of sentence-transformers, relevant and other texts apart",
        _has("query", "positive", "negative"),
        _apart("positive", "negative"),
        unranked=LABELS_APART,
    ),
)
