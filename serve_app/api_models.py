"""Requests and answers of the HTTP service: what Cohere's, Jina's and vLLM's clients send and expect."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field


def _encodable(text: str) -> str:
    """Refuse what JSON can spell but no tokenizer takes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("holds a lone surrogate, which is no character") from error
    return text


Text = Annotated[str, AfterValidator(_encodable)]
Query = Annotated[Text, Field(min_length=1)]


class Document(BaseModel):
    """A document as an object; further keys are ignored."""

    text: Text


class RerankRequest(BaseModel):
    """Body of POST /v1/rerank. Unknown keys are ignored, as the clients of several vendors send their own."""

    model_config = ConfigDict(strict=True)

    query: Query
    documents: list[Text | Document] = Field(min_length=1, validation_alias=AliasChoices("documents", "docs"))
    top_n: int | None = Field(None, ge=1, description="Only the best so many results.")
    return_documents: bool = Field(False, description="Give each result its document.")
    instruction: Query | None = Field(None, description="What relevance means for this query.")
    max_tokens_per_doc: int | None = Field(None, ge=1, description="Cut documents to so many tokens.")
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
    """Results, best first. `truncated` holds the indices of the documents that were cut to fit the model."""

    id: str
    model: str
    results: list[Result]
    truncated: list[int] = Field(description="Indices of documents that were cut.")
    usage: Usage
    meta: dict[str, Any] = Field(description="`timings_ms` of this request, and what Cohere's client reads.")


class ScoreRequest(BaseModel):
    """Body of POST /v1/score, as vLLM has it: 1 to 1, 1 to N, or N to N texts."""

    model_config = ConfigDict(strict=True)

    text_1: Query | Annotated[list[Query], Field(min_length=1)]
    text_2: Text | Annotated[list[Text], Field(min_length=1)]
    model: str | None = None


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
