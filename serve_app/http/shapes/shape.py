"""What a shape is: the paths of an API, what it calls things, and how its answers and errors look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, TypeAlias


class Slot(Enum):
    """What stands in an answer's or an error's template for something of this one request."""

    # of the whole answer; RESULTS are its items, SCORES the numbers alone, in the order of the request
    ID = "id"
    MODEL = "model"
    CREATED_S = "created"
    RESULTS = "results"
    SCORES = "scores"
    RETURNED = "returned"
    ECHOED = "echoed"
    TOKENS = "tokens"
    CACHED_TOKENS = "cached_tokens"
    TRUNCATED = "truncated"
    PASSAGES = "passages"
    TIMINGS_MS = "timings_ms"
    TOTAL_S = "total_s"
    TEXT_BYTES = "text_bytes"
    # of one result; OBJECT is the document as it was sent, or {"text": ...}, TEXT what was ranked
    INDEX = "index"
    SCORE = "score"
    OBJECT = "object"
    TEXT = "text"
    # of an error; PLACE is PARAM as a list, TEI_TYPE the kind in TEI's words
    MESSAGE = "message"
    TYPE = "type"
    PARAM = "param"
    PLACE = "place"
    CODE = "code"
    STATUS = "status"
    TEI_TYPE = "tei_type"


# JSON with slots in it.
Template: TypeAlias = Mapping[str, Any] | Slot
Scores: TypeAlias = Literal["score", "raw", "raw_or_score"]


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """One API, or several that differ in nothing that could do harm.

    `names` are what it calls each of our fields (see `fields`), with dots where one lies within another; several where
    clients call it differently. On a path that several shapes share a body is this one's if it has one of `known_by`
    among its keys, or the request one of `headers`; a shape without either takes what is left.

    `item` is one result, `answer` the whole; `best_first` or in the order of the request. Documents are in a result
    where the request asks for them, and `returns_documents` says what holds where it does not say. `error` is laid over
    the error that all have in common, `unprocessable` over that, where the status is 422.
    """

    name: str
    apis: str
    paths: tuple[str, ...]
    names: Mapping[str, tuple[str, ...]]
    item: Template
    answer: Template
    known_by: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    best_first: bool = True
    returns_documents: bool = False
    scores: Scores = "score"
    error: Mapping[str, Any] = field(default_factory=dict)
    unprocessable: Mapping[str, Any] = field(default_factory=dict)

    @property
    def of_pairs(self) -> bool:
        """Whether texts are scored pair by pair, instead of a list for one query."""
        return "queries" in self.names
