"""Requests and answers of the HTTP service in our own words; `shapes` has what clients call them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

from serve_app.http.shapes.shape import Scores


class Document(BaseModel):
    """A document as an object."""

    text: str


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """What a request asks for, whatever the shape of its body. `scores`: a probability or a cosine, or the raw value
    that it was made from, or that where there is one. A document that does not fit is refused unless it `may_cut`.
    """

    query: str
    documents: Sequence[str]
    top_n: int | None = None
    instruction: str | None = None
    max_tokens_per_doc: int | None = None
    model: str | None = None
    scores: Scores = "score"
    may_cut: bool = True


class Result(BaseModel):
    """One document: its place in the request, its score, and itself if asked for."""

    index: int
    relevance_score: float
    document: Document | None = None


class Usage(BaseModel):
    """Tokens that the model read for this request."""

    prompt_tokens: int
    total_tokens: int
    cached_tokens: int = 0


class RerankResponse(BaseModel):
    """Results, best first. `truncated` holds the indices of the documents that were cut to fit the model, `passages`
    those of the documents that were read in several passages, and in how many.
    """

    id: str
    model: str
    results: list[Result]
    truncated: list[int] = Field(description="Indices of documents that were cut.")
    passages: dict[int, int] | None = Field(
        None, description="Index of each document that was read in several passages -> how many. Absent where none was."
    )
    usage: Usage
    meta: dict[str, Any] = Field(description="`timings_ms` of this request, and what Cohere's client reads.")


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """As RerankRequest, pair by pair: one query for all documents, or as many of both."""

    queries: Sequence[str]
    documents: Sequence[str]
    instruction: str | None = None
    max_tokens_per_doc: int | None = None
    model: str | None = None
    scores: Scores = "score"
    may_cut: bool = True


class Score(BaseModel):
    """The score of one pair."""

    index: int
    object: Literal["score"] = "score"
    score: float


class ScoreResponse(BaseModel):
    """Scores in the order of the pairs."""

    id: str
    object: Literal["list"] = "list"
    model: str
    data: list[Score]
    usage: Usage


class ErrorDetail(BaseModel):
    """What is wrong, in words, and for programs."""

    message: str
    type: str
    param: str | None = None
    code: str


class ErrorResponse(BaseModel):
    """The body of an error; some shapes have another `error` and `detail`."""

    error: ErrorDetail
    message: str | None = None
