"""Hop 2: what a source read -> valid, deduplicated Candidates, cut to depth (`stages.files.tables` writes them).

What cannot be used is set aside with its reason and the run goes on; nothing takes the place of a document that was set
aside from the top `depth`, so that a query's candidates do not depend on what is broken elsewhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from numbers import Integral, Real
from uuid import UUID

from stages.core.order import trec_positions
from stages.core.records import Candidates, RawDocument, RawQuery, SetAside

Report = Callable[[SetAside], None]
# Reasons that tell of data which does not belong together.
UNKNOWN_QUERY, NOT_IN_CORPUS = "unknown query", "is not in the corpus"
EXACT_FLOATS = 2**53  # from there on several whole numbers share a float
# A number as text; `float` also takes 1_000, nan and the digits of other scripts.
_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


def as_id(value: object) -> str | None:
    """An id as text, None where there is none or where its type has no one exact form (`id_fault` says which).

    Whole floats and decimals lose their `.0`, which pandas adds to nullable ids, and DuckDB to sums; UUIDs are written
    as usual, dates as `2024-12-31`.
    """
    if isinstance(value, str):
        return str(value) if value.strip() else None
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Integral):
        return str(int(value))
    if isinstance(value, Real):
        value = float(value)
        return str(int(value)) if value.is_integer() and abs(value) < EXACT_FLOATS else None
    if isinstance(value, Decimal):
        return str(int(value)) if value.is_finite() and value == value.to_integral_value() else None
    return str(value) if isinstance(value, UUID) or type(value) is date else None


def id_fault(what: str, value: object) -> str:
    """Why `value`, of which `as_id` makes nothing, is no id. `what` is whose: "query id" or "document id"."""
    if value is None or (isinstance(value, str) and not value.strip()) or _is_nan(value):
        return f"{what} missing"
    if isinstance(value, float) and value.is_integer():
        return f"{what} is a float too large for each whole number to have its own, write it as text: {value!r:.40}"
    return f"{what} is neither text nor a whole number but {type(value).__name__}, write it as text: {value!s:.40}"


def _is_nan(value: object) -> bool:
    """What pandas has where an id is missing."""
    return isinstance(value, float) and math.isnan(value)


def prepare(raw: RawQuery, depth: int | None, set_aside: Report) -> Candidates | None:
    """The valid candidates of one query, or None where nothing is left of it; every loss goes to `set_aside`.

    `depth` None reranks all of `raw.documents`. Where none of them has a first-stage score, the given order counts, as
    scores -1, -2, ... Documents below depth need no text: their ids go to `tail`.
    """
    query_id = as_id(raw.query_id)
    fault = _query_fault(raw, query_id)
    if fault or query_id is None or not isinstance(raw.query, str):
        set_aside(SetAside(raw.where, fault or "query id missing", query_id))
        return None
    top, tail = _split(raw, query_id, depth, set_aside)
    if not top:
        set_aside(SetAside(raw.where, "no usable document among its candidates", query_id))
        return None
    return Candidates(
        query_id=query_id,
        query=raw.query,
        doc_ids=tuple(item.doc_id for item in top),
        texts=tuple(str(item.document.text) for item in top),
        scores=tuple(item.score for item in top),
        tail=tuple(item.doc_id for item in tail),
        instruction=raw.instruction if isinstance(raw.instruction, str) and raw.instruction.strip() else None,
        attributes=dict(raw.attributes),
    )


def prepare_all(raws: Iterable[RawQuery], depth: int | None, set_aside: Report) -> Iterator[Candidates]:
    """`prepare` over a whole source. A query id that was met before is set aside: the first one counts."""
    seen: set[str] = set()
    for raw in raws:
        query_id = as_id(raw.query_id)
        if query_id in seen:
            set_aside(SetAside(raw.where, "duplicate query id", query_id))
            continue
        if query_id is not None:
            seen.add(query_id)
        candidates = prepare(raw, depth, set_aside)
        if candidates is not None:
            yield candidates


def _query_fault(raw: RawQuery, query_id: str | None) -> str | None:
    if query_id is None:
        return id_fault("query id", raw.query_id)
    if raw.query is None:
        return f"{UNKNOWN_QUERY}: no text for this id"
    if not isinstance(raw.query, str):
        return f"query is not a string but {type(raw.query).__name__}"
    if not raw.query.strip():
        return "empty query"
    if raw.instruction is not None and not isinstance(raw.instruction, str):
        return f"instruction is not a string but {type(raw.instruction).__name__}"
    texts = (query_id, raw.query, raw.instruction or "", *raw.attributes, *raw.attributes.values())
    return None if all(map(is_encodable, texts)) else "query, id, instruction or attribute cannot be encoded as UTF-8"


@dataclass(frozen=True, slots=True)
class _Placed:
    """A document that has a place in the first-stage order; its id may be empty, its text is not yet checked."""

    doc_id: str
    score: float
    document: RawDocument


def _split(raw: RawQuery, query_id: str, depth: int | None, set_aside: Report) -> tuple[list[_Placed], list[_Placed]]:
    """The usable documents of the top `depth`, and those below: cut first, so that nothing is pulled up."""
    listed = _placed(raw.documents, query_id, set_aside)
    cut = len(listed) if depth is None else depth
    seen: set[str] = set()
    top = _kept(listed[:cut], query_id, seen, set_aside, with_text=True)
    below = listed[cut:] + _placed(raw.tail, query_id, set_aside)
    return top, _kept(below, query_id, seen, set_aside, with_text=False)


def _placed(documents: Sequence[RawDocument], query_id: str, set_aside: Report) -> list[_Placed]:
    """In first-stage order. A document whose score is no number has no place in it and is set aside."""
    scored = any(document.score is not None for document in documents)
    placed = []
    for position, document in enumerate(documents, 1):
        score = _finite(document.score) if scored else -float(position)
        if score is None:
            reason = "no score" if document.score is None else f"score is not a finite number: {_shown(document.score)}"
            set_aside(SetAside(document.where, reason, query_id, as_id(document.doc_id)))
        else:
            placed.append(_Placed(as_id(document.doc_id) or "", score, document))
    order = trec_positions([item.doc_id for item in placed], [item.score for item in placed])
    return [placed[i] for i in order]


def _kept(
    placed: Sequence[_Placed], query_id: str, seen: set[str], set_aside: Report, *, with_text: bool
) -> list[_Placed]:
    kept = []
    for item in placed:
        fault = _id_fault(item, seen) or (_text_fault(item) if with_text else None)
        if fault:
            set_aside(SetAside(item.document.where, fault, query_id, item.doc_id or None))
        else:
            seen.add(item.doc_id)
            kept.append(item)
    return kept


def _id_fault(item: _Placed, seen: set[str]) -> str | None:
    if not item.doc_id:
        return id_fault("document id", item.document.doc_id)
    if not is_encodable(item.doc_id):
        return "document id cannot be encoded as UTF-8"
    return "duplicate document id within the query" if item.doc_id in seen else None


def _text_fault(item: _Placed) -> str | None:
    text = item.document.text
    if text is None:
        return f"document {item.doc_id} {NOT_IN_CORPUS}"
    if not isinstance(text, str):
        return f"text is not a string but {type(text).__name__}"
    if not text.strip():
        return "no text"
    return None if is_encodable(text) else "text cannot be encoded as UTF-8"


def _finite(score: object) -> float | None:
    """A number, or one written as text; the nearest double of a decimal."""
    if isinstance(score, bool) or not isinstance(score, Real | Decimal | str):
        return None
    if isinstance(score, str) and not _NUMBER.fullmatch(score):
        return None
    try:
        number = float(score)
    except (OverflowError, ValueError):
        return None
    return number if math.isfinite(number) else None


def is_encodable(text: str) -> bool:
    """Whether the text is free of lone surrogates, which JSON escapes can spell and no tokenizer or file takes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: object) -> str:
    return f"{value!r:.40}" if isinstance(value, str | int | float) else type(value).__name__
