"""Requests and answers of the HTTP service: what Cohere's, Jina's and vLLM's clients send and expect."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field


def _whole(value: object) -> object:
    """JSON has one kind of number: its schema takes 3.0 for an integer, and some clients write it so."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Query = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(ge=1), BeforeValidator(_whole)]
# A list stops at its first fault: millions of faults in one body would fill the memory.
OneOrMore = Field(min_length=1, fail_fast=True)


class Document(BaseModel):
    """A document as an object; further keys are ignored."""

    text: str


class RerankRequest(BaseModel):
    """Body of POST /v1/rerank. Unknown keys are ignored, as the clients of several vendors send their own."""

    model_config = ConfigDict(strict=True)

    query: Query
    documents: list[str | Document] = Field(
        min_length=1, fail_fast=True, validation_alias=AliasChoices("documents", "docs")
    )
    top_n: Count | None = Field(None, description="Only the best so many results.")
    return_documents: bool = Field(False, description="Give each result its document.")
    instruction: Query | None = Field(None, description="What relevance means for this query.")
    max_tokens_per_doc: Count | None = Field(None, description="Cut documents to so many tokens.")
    model: str | None = Field(None, description="Must be the served model, if given.")

    @property
    def texts(self) -> list[str]:
        return [one if isinstance(one, str) else one.text for one in self.documents]


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


class ScoreRequest(BaseModel):
    """Body of POST /v1/score, as vLLM has it: 1 to 1, 1 to N, or N to N texts."""

    model_config = ConfigDict(strict=True)

    text_1: Query | Annotated[list[Query], OneOrMore]
    text_2: str | Annotated[list[str], OneOrMore]
    model: str | None = None

    @property
    def queries(self) -> list[str]:
        return [self.text_1] if isinstance(self.text_1, str) else self.text_1

    @property
    def documents(self) -> list[str]:
        return [self.text_2] if isinstance(self.text_2, str) else self.text_2


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
    """The body of every error."""

    error: ErrorDetail
