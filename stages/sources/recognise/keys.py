"""Records and tables by their keys: rows that can be reranked, texts under ids, and what other tools write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from stages.sources.digests import made_id
from stages.sources.formats.dumped import SHAPES as DUMPED_SHAPES
from stages.sources.formats.nested import DOCUMENT_COLUMNS, QUERY_COLUMNS
from stages.sources.formats.shape import Fields, Shape, UnfitRecordError
from stages.sources.formats.shapes import neighbour_of, shapes_of
from stages.sources.recognise.finding import Finding
from stages.sources.recognise.objects import of_object
from stages.sources.recognise.texts import texts_under_ids
from stages.sources.settings import ALIASES, ROW_IDS

# Names that others have for what rows need, beside those that are known: each is mapped under data.columns.
MAPPED: Mapping[str, tuple[str, ...]] = {
    "query_id": ("query-id", "topic_id", "question_id"),
    "query": ("question", "user_input", "input", "query_text"),
    "documents": ("contexts", "retrieved_contexts", "passages", "ctxs", "context"),
    "doc_ids": ("retrieved_context_ids", "context_ids"),
    "scores": (),
    "relevances": (),
    "doc_id": ("corpus-id", "document_id", "passage_id"),
    "text": ("document", "doc_text"),
    "score": (),
    "relevance": ("judgment", "grade", "rel"),
}
KNOWN = {ours: (ours, *(name for name in ALIASES.get(ours, ()) if name not in ROW_IDS)) for ours in MAPPED}
DUMPED = frozenset(shape.format for shape in DUMPED_SHAPES)
IDS = ("_id", "id", "doc_id", "query_id", "docid", "docno", "pid", "qid")
TEXTS = ("text", "contents", "content", "passage", "body", "segment", "query", "title", "question")


def of_records(path: Path, records: Sequence[Fields], form: str) -> Finding:
    """`form`: the `data.format` that reads rows of such a file."""
    for record in records:
        if shapes := shapes_of(record):
            return _of_shape(path, shapes[0], record)
        if neighbour := neighbour_of(record):
            return Finding(str(path), neighbour.told, remedy=neighbour.remedy)
    names = list(dict.fromkeys(str(key) for record in records for key in record))
    nested = of_object(path, records[0]) if len(records) == 1 else None
    return nested or of_columns(path, names, form) or _of_texts(path, records, names)


def _of_shape(path: Path, shape: Shape, record: Fields) -> Finding:
    finding = Finding(str(path), shape.told, "rows", {"format": shape.format})
    if shape.unranked:
        finding.data["depth"] = None  # a cut would choose by chance
        finding.unsure.append(f"there is no first stage: {shape.unranked}, so each list is shuffled by a hash")
    if _without_ids(shape, record):
        more = "; data.columns.doc_id may name a key of their metadata" if shape.format in DUMPED else ""
        finding.unsure.append(f"documents have no ids: each is known by a hash of its text{more}")
    return finding


def _without_ids(shape: Shape, record: Fields) -> bool:
    try:
        documents = shape.translate(record, {}).get("documents")
    except UnfitRecordError:
        return False
    listed = documents if isinstance(documents, list) else []
    return any(one["doc_id"] == made_id(str(one["text"])) for one in listed)


def of_columns(path: Path, names: Sequence[str], form: str) -> Finding | None:
    """Rows of a table with these columns; None where it lacks the query, or both documents and texts."""
    found = {
        ours: next((name for name in (*KNOWN[ours], *theirs) if name in names), None) for ours, theirs in MAPPED.items()
    }
    of_pairs = found["documents"] is None
    if found["query"] is None or (of_pairs and found["text"] in (None, found["query"])):
        return None
    kind = "one row per pair" if of_pairs else "one row per query with its documents"
    finding = Finding(str(path), f"rows, {kind}", "rows", {"format": form})
    beside = ("documents", "doc_ids", "scores", "relevances") if of_pairs else ("doc_id", "text", "score", "relevance")
    mapped = {
        ours: theirs for ours, theirs in found.items() if theirs not in (None, *KNOWN[ours]) and ours not in beside
    }
    if mapped:
        finding.data["columns"] = mapped
        finding.unsure.append("columns were matched by their names; see that each means what it is mapped to")
    if of_pairs and found["score"] is None:
        finding.unsure.append("no column of scores: the order of a query's rows counts as the first stage")
    return finding


def of_triples(path: Path, names: Sequence[str]) -> Finding | None:
    """A run or judgements as a table: query, document, number, as ranx and PyTerrier write Parquet."""
    has = [any(name in names for name in known) for known in (QUERY_COLUMNS, DOCUMENT_COLUMNS)]
    if not all(has) or not {"text", "query", "documents"}.isdisjoint(names):
        return None
    if {"query-id", "corpus-id"} <= {*names} or ("score" not in names and {"relevance", "label"} & {*names}):
        return Finding(str(path), "judgements, a row per document", "qrels")
    return Finding(str(path), "a run, a row per document", "run") if "score" in names else None


def _of_texts(path: Path, records: Sequence[Fields], names: Sequence[str]) -> Finding:
    """Queries or documents under their ids, or nothing that is known."""
    if {"qid", "docid", "relevance"} <= {*names} or {"query-id", "corpus-id", "score"} <= {*names}:
        return Finding(
            str(path), "judgements, a JSON object each", remedy="write them as lines of `query_id 0 doc_id grade`"
        )
    text = next((name for name in TEXTS if name in names), None)
    if text is None or not any(name in names for name in IDS):
        keys = ", ".join(names[:12]) or "none"
        return Finding(
            str(path),
            f"records with the keys {keys:.200}",
            remedy="rows need query and documents, or query and text; texts need an id and text",
        )
    return texts_under_ids(path, [str(record.get(text, "")) for record in records])
