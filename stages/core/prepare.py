"""Hop 2: what a source read -> valid, deduplicated Candidates, cut to depth (`stages.files.tables` writes them).

What cannot be used is set aside with its reason and the run goes on. The first stage's list stays as it was given: a
document without a text keeps its place in it, though it cannot be scored, and so do all those of a query without one.
Nothing takes its place in the top `depth`, so that a query's candidates do not depend on what is broken elsewhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from numbers import Integral, Real
from typing import NamedTuple
from uuid import UUID

from stages.core.order import trec_positions
from stages.core.records import Candidates, RawDocument, RawQuery, SetAside

Report = Callable[[SetAside], None]
# Reasons that tell of data which does not belong together.
UNKNOWN_QUERY, NOT_IN_CORPUS = "unknown query", "is not in the corpus"
DUPLICATE = "duplicate document id within the query"
# What follows where all of a query's documents were set aside.
NO_DOCUMENT = "no usable document among its candidates"
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
    """The candidates of one query, or None where it has no id or no document has one; every loss goes to `set_aside`.

    `depth` None reranks all of `raw.documents`. Where none of them has a first-stage score, and where `raw.order_only`
    says so, the given order counts, as scores -1, -2, ... Documents below depth need no text: their ids go to `tail`.
    Of a query that cannot be asked nothing is to be scored, and its list is all there is.
    """
    query_id = as_id(raw.query_id)
    if query_id is None or not is_encodable(query_id):
        told = id_fault("query id", raw.query_id) if query_id is None else "query id cannot be encoded as UTF-8"
        set_aside(SetAside(raw.where, told, query_id))
        return None
    if fault := _query_fault(raw):
        set_aside(SetAside(raw.where, fault, query_id))
    listed, texted, tail = _split(raw, query_id, depth, set_aside, asked=not fault)
    if not listed and not tail:
        set_aside(SetAside(raw.where, NO_DOCUMENT, query_id))
        return None
    return Candidates(
        query_id=query_id,
        query="" if fault else str(raw.query),
        doc_ids=tuple(item.doc_id for item in texted),
        texts=tuple(str(item.document.text) for item in texted),
        scores=tuple(item.score for item in texted),
        tail=tuple(item.doc_id for item in tail),
        instruction=None if fault else _instruction(raw),
        attributes={name: value for name, value in raw.attributes.items() if is_encodable(name + value)},
        listed=tuple(item.doc_id for item in listed) if len(texted) < len(listed) else (),
        order_only=_order_only(raw),
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


def _instruction(raw: RawQuery) -> str | None:
    return raw.instruction if isinstance(raw.instruction, str) and raw.instruction.strip() else None


def _order_only(raw: RawQuery) -> bool:
    return raw.order_only or all(document.score is None for document in raw.documents)


def _query_fault(raw: RawQuery) -> str | None:
    """Why nothing can be asked of it."""
    if raw.query is None:
        return f"{UNKNOWN_QUERY}: no text for this id"
    if not isinstance(raw.query, str):
        return f"query is not a string but {type(raw.query).__name__}"
    if not raw.query.strip():
        return "empty query"
    if raw.instruction is not None and not isinstance(raw.instruction, str):
        return f"instruction is not a string but {type(raw.instruction).__name__}"
    texts = (raw.query, raw.instruction or "", *raw.attributes, *raw.attributes.values())
    return None if all(map(is_encodable, texts)) else "query, instruction or attribute cannot be encoded as UTF-8"


@dataclass(frozen=True, slots=True)
class _Placed:
    """A document that has a place in the first-stage order; its id may be empty, its text is not yet checked."""

    doc_id: str
    score: float
    document: RawDocument


class _Split(NamedTuple):
    """The documents of the top `depth`, those of them that have a text, and those below."""

    listed: list[_Placed]
    texted: list[_Placed]
    tail: list[_Placed]


def _split(raw: RawQuery, query_id: str, depth: int | None, set_aside: Report, *, asked: bool) -> _Split:
    """Cut first, so that nothing is pulled up. Of a query that is not `asked` no document is, and needs a text."""
    placed = _placed(raw.documents, query_id, set_aside, scored=not _order_only(raw))
    cut = len(placed) if depth is None else depth
    seen: set[str] = set()
    listed, texted = list[_Placed](), list[_Placed]()
    for item in placed[:cut]:
        if not _has_id(item, query_id, seen, set_aside):
            continue
        listed.append(item)
        if asked and _has_text(item, query_id, set_aside):
            texted.append(item)
    below = placed[cut:] + _placed(raw.tail, query_id, set_aside, scored=not _order_only(raw))
    return _Split(listed, texted, [item for item in below if _has_id(item, query_id, seen, set_aside)])


def _placed(documents: Sequence[RawDocument], query_id: str, set_aside: Report, *, scored: bool) -> list[_Placed]:
    """In first-stage order. A document whose score is no number has no place in it and is set aside."""
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


def _has_id(item: _Placed, query_id: str, seen: set[str], set_aside: Report) -> bool:
    """One of its own: it is `seen` from then on."""
    if fault := _id_fault(item, seen):
        set_aside(SetAside(item.document.where, fault, query_id, item.doc_id or None))
        return False
    seen.add(item.doc_id)
    return True


def _has_text(item: _Placed, query_id: str, set_aside: Report) -> bool:
    if fault := _text_fault(item):
        set_aside(SetAside(item.document.where, fault, query_id, item.doc_id))
    return fault is None


def _id_fault(item: _Placed, seen: set[str]) -> str | None:
    if not item.doc_id:
        return id_fault("document id", item.document.doc_id)
    if not is_encodable(item.doc_id):
        return "document id cannot be encoded as UTF-8"
    return DUPLICATE if item.doc_id in seen else None


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
    if isinstance(score, float):  # as nearly all are, and the cheapest to tell
        return score if math.isfinite(score) else None
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
