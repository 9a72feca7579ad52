"""Documents as LangChain, LlamaIndex and Haystack dump them, in a row with their query.

Those tools dump a list of documents without its query, so a row is what their users add: an object with the query
(`query`, `question`, `input` or `user_input`) and the dump under `documents`, `contexts`, `context`,
`source_documents`, `nodes` or `source_nodes`, best first. `data.columns` maps other names; its `doc_id` is a key of the
documents' metadata.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from stages.sources.digests import made_id
from stages.sources.formats.shape import Fields, Shape, UnfitRecordError, others, query_id_of, scores_in_order
from stages.sources.settings import ALIASES

QUERY_KEYS = ("query", "question", "input", "user_input")
DOCUMENT_KEYS = ("documents", "contexts", "context", "source_documents", "nodes", "source_nodes")
SOURCE_NODE = "1"
"""LlamaIndex's number for the relationship of a node to the document that it was cut from."""
REF_DOC_ID = "ref_doc_id"


@dataclass(frozen=True, slots=True)
class Dumped:
    """One document; `metadata` is where `data.columns.doc_id` is looked up.

    No tool of these judges: a `relevance` beside its keys is the user's own.
    """

    text: object
    own_id: object
    metadata: Fields
    score: object = None
    relevance: object = None


def langchain_document(dump: object) -> Dumped | None:
    """`dumps` or `model_dump` of a Document, or a pair with its score; None where it is none."""
    score = None
    if isinstance(dump, list) and len(dump) == 2:
        dump, score = dump
    fields = _object(dump)
    if isinstance(kwargs := fields.get("kwargs"), dict):
        fields = kwargs
    if "page_content" not in fields:
        return None
    metadata = _object(fields.get("metadata"))
    escaped = metadata.get("__lc_escaped__")  # how `dumps` writes metadata that has a key `lc`
    metadata = escaped if isinstance(escaped, dict) else metadata
    return Dumped(fields["page_content"], fields.get("id"), metadata, score, fields.get("relevance"))


def llamaindex_node(dump: object) -> Dumped | None:
    """A NodeWithScore, or its node alone; None where it is none."""
    fields = _object(dump)
    node = _object(fields["node"]) if isinstance(fields.get("node"), dict) else fields
    if "id_" not in node:
        return None
    text = node.get("text")
    if text is None:
        text = _object(node.get("text_resource")).get("text")
    source = _object(_object(node.get("relationships")).get(SOURCE_NODE)).get("node_id")
    metadata = {**_object(node.get("metadata")), **({} if source is None else {REF_DOC_ID: source})}
    return Dumped(text, node["id_"], metadata, fields.get("score"), fields.get("relevance"))


def haystack_document(dump: object) -> Dumped | None:
    """`to_dict()` of a Document, its meta flattened or not; None where it is none."""
    fields = _object(dump)
    if not {"id", "content", "blob"} <= fields.keys():
        return None
    metadata = {**fields, **_object(fields.get("meta"))}
    return Dumped(fields["content"], fields["id"], metadata, fields.get("score"), fields.get("relevance"))


def _object(value: object) -> Fields:
    return value if isinstance(value, dict) else {}


Parse = Callable[[object], Dumped | None]


def _marks(parse: Parse, fields: Fields) -> bool:
    """By the first document of any list, since the list's name may be a user's own."""
    return any(value and parse(_loaded(value[0])) for value in map(_loaded, fields.values()) if isinstance(value, list))


def _translate(parse: Parse, fields: Fields, mapping: Mapping[str, str]) -> dict[str, object]:
    query, documents = _name(fields, mapping, "query", QUERY_KEYS), _name(fields, mapping, "documents", DOCUMENT_KEYS)
    dumps = _loaded(fields[documents])
    if not isinstance(dumps, list):
        raise UnfitRecordError(f"{documents} is not a list but {type(dumps).__name__}")
    parsed = [parse(_loaded(dump)) for dump in dumps]
    found = [one for one in parsed if one is not None]
    if len(found) < len(dumps):
        raise UnfitRecordError(f"{documents}: entry {parsed.index(None) + 1} is no document of that tool")
    scores = scores_in_order([one.score for one in found])
    rows = [
        {
            "doc_id": _doc_id(one, mapping.get("doc_id")),
            "text": one.text,
            "score": score,
            "relevance": one.relevance,
        }
        for one, score in zip(found, scores, strict=True)
    ]
    if rows and all(row["doc_id"] is None for row in rows):
        raise UnfitRecordError(
            f"no document has {mapping.get('doc_id')!r} in its metadata, which data.columns.doc_id names"
        )
    named = fields if "query_id" not in mapping else {"query_id": fields.get(mapping["query_id"])}
    left = others(fields, query, documents, *mapping.values())
    return {**left, **_relevances(fields), **query_id_of(named), "query": fields[query], "documents": rows}


def _relevances(fields: Fields) -> dict[str, object]:
    """The judgements in a list beside the documents, which a user may add as to any row."""
    names = ("relevances", *ALIASES["relevances"])
    return next(({"relevances": fields[name]} for name in names if fields.get(name) is not None), {})


def _name(fields: Fields, mapping: Mapping[str, str], ours: str, known: tuple[str, ...]) -> str:
    names = (mapping[ours],) if ours in mapping else known
    for name in names:
        if name in fields:
            return name
    raise UnfitRecordError(f"no {ours}; it stands under {', '.join(names)}, or what data.columns.{ours} names")


def _loaded(value: object) -> object:
    """What a string holds that is a dump itself."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _doc_id(document: Dumped, key: str | None) -> object:
    """Under `key` of its metadata; without one its own, and where it has none that of its text."""
    if key is not None:
        return document.metadata.get(key)
    if document.own_id is None and isinstance(document.text, str):
        return made_id(document.text)
    return document.own_id


def _shape(name: str, tool: str, parse: Parse) -> Shape:
    return Shape(name, f"rows of a query with {tool}", partial(_marks, parse), partial(_translate, parse))


SHAPES = (
    _shape("langchain", "LangChain documents", langchain_document),
    _shape("llamaindex", "LlamaIndex nodes", llamaindex_node),
    _shape("haystack", "Haystack documents", haystack_document),
)
