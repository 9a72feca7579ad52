"""The rerank APIs as data: where they are asked, what a body holds, where an answer has its scores and its bill.

Sources: the public documentation of each provider, and the source of Text Embeddings Inference and vLLM. No limit is
given where none is documented: `hosted.batch_documents` is then the only one.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from serve_app.settings import Api
from stages.core.errors import ScoringError
from stages.core.records import PairScore
from stages.core.scoring import sigmoid

Unit = Literal["search_units", "tokens"]
DOCUMENTS_PER_SEARCH_UNIT = 100
FLOAT = struct.Struct("<f")


class AnswerError(ScoringError):
    """An answer that is no answer: scores that are missing, twice there, or no numbers."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One API. `path` is asked where the address names none; `documents` is the body's key for them, `plain` whether
    query and documents are texts or objects with a `text`; `results` is the answer's list (None: the answer is the
    list) and `score` an item's key. `scores` says what these numbers are, `logits` whether they are unbounded.

    `also` is sent in each body, `told_at` are paths that tell of the server: what of it is kept is in `told`, and the
    least of what is under `told_most` is how many documents it takes at once.
    """

    path: str
    score: str = "relevance_score"
    results: str | None = "results"
    documents: str = "documents"
    plain: bool = True
    needs_model: bool = False
    sends_model: bool = True
    takes_instruction: bool = False
    most_documents: int | None = None
    unit: Unit = "tokens"
    scores: str = "as the API gives them"
    logits: bool = False
    also: Mapping[str, Any] = field(default_factory=dict)
    told_at: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    told_most: tuple[str, ...] = ()


SHAPES: Mapping[Api, Shape] = {
    "cohere": Shape("/v2/rerank", needs_model=True, most_documents=1000, unit="search_units", scores="0 to 1"),
    "jina": Shape("/v1/rerank", needs_model=True, also={"return_documents": False}),
    "voyage": Shape("/v1/rerank", results="data", needs_model=True, most_documents=1000, also={"truncation": True}),
    "tei": Shape(
        "/rerank",
        score="score",
        results=None,
        documents="texts",
        sends_model=False,
        most_documents=32,
        scores="sigmoid of a logit",
        also={"raw_scores": False, "truncate": True},
        told_at=("/info",),
        told=("model_id", "model_sha", "model_dtype", "max_input_length", "version", "sha"),
        # Each text needs one of its permits: of more documents than these a request is refused for ever.
        told_most=("max_client_batch_size", "max_concurrent_requests"),
    ),
    "nim": Shape(
        "/v1/ranking",
        score="logit",
        results="rankings",
        documents="passages",
        plain=False,
        most_documents=512,
        scores="logits",
        logits=True,
        also={"truncate": "END"},
        told_at=("/v1/models",),
        told=("id", "root", "max_model_len"),
    ),
    "vllm": Shape(
        "/v1/rerank",
        takes_instruction=True,
        told_at=("/v1/models", "/version"),
        told=("id", "root", "max_model_len", "version"),
    ),
    "rerank-eval": Shape(
        "/v1/rerank",
        takes_instruction=True,
        also={"return_documents": False},
        told_at=("/v1/models",),
        told=("id", "family", "recipe", "dtype", "instruction", "template", "max_model_len", "backend", "identity"),
    ),
}


def body_of(
    shape: Shape, model: str | None, query: str, documents: Sequence[str], instruction: str | None
) -> dict[str, Any]:
    """What is sent. All scores are wanted, so no API is told how many."""
    texts: list[Any] = list(documents) if shape.plain else [{"text": text} for text in documents]
    body: dict[str, Any] = {"query": query if shape.plain else {"text": query}, shape.documents: texts, **shape.also}
    if model is not None and shape.sends_model:
        body["model"] = model
    if instruction is not None:
        body["instruction"] = instruction
    return body


def scores_in(shape: Shape, answer: Any, documents: int) -> list[PairScore]:
    """One score for each document, by `index`. Raises AnswerError unless each has just one, a finite number.

    Scores are rounded to single precision, as the score store keeps them: a resumed run ranks as one that was not.
    """
    results = answer if shape.results is None else (answer.get(shape.results) if isinstance(answer, dict) else None)
    if not isinstance(results, list):
        raise AnswerError(f"its answer has no list of {shape.results or 'results'}: another api may be at this address")
    found: dict[int, float] = {}
    for one in results:
        place, score = (one.get("index"), one.get(shape.score)) if isinstance(one, dict) else (None, None)
        if type(place) is not int or not 0 <= place < documents or place in found:
            raise AnswerError(
                f"its answer has index {_shown(place)} for {documents} documents, once more or out of range"
            )
        if (finite := _finite(score)) is None:
            raise AnswerError(f"its answer has {shape.score} {_shown(score)} for document {place}, which is no number")
        found[place] = finite
    if len(found) < documents:
        raise AnswerError(f"its answer has scores for {len(found)} of {documents} documents")
    return [_pair(shape, found[place]) for place in range(documents)]


def _pair(shape: Shape, score: float) -> PairScore:
    try:
        (single,) = FLOAT.unpack(FLOAT.pack(score))
    except OverflowError as error:
        raise AnswerError(f"its answer has {shape.score} {score!r:.20}, which single precision cannot hold") from error
    return PairScore(sigmoid(single), single) if shape.logits else PairScore(single)


def _finite(value: Any) -> float | None:
    """A number of JSON, None where it is none, or one that a float cannot hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _shown(value: Any) -> str:
    """A number as it is; of anything else its type alone, as half a key would not be seen as one."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value!r:.20}" if number or value is None else f"of type {type(value).__name__}"


def billed_in(shape: Shape, answer: Any, headers: Mapping[str, str]) -> float | None:
    """How many units the answer says were billed; None where it does not say."""
    said: Any = None
    if shape.unit == "search_units":
        said = _at(answer, "meta", "billed_units", "search_units")
    else:
        for place in (("usage", "total_tokens"), ("meta", "tokens", "input_tokens")):
            said = _at(answer, *place) if said is None else said
        said = headers.get("x-compute-tokens") if said is None else said
    try:
        units = float("nan") if isinstance(said, bool) else float(said)
    except (TypeError, ValueError, OverflowError):
        return None
    return units if math.isfinite(units) and units >= 0 else None


def _at(answer: Any, *names: str) -> Any:
    for name in names:
        answer = answer.get(name) if isinstance(answer, dict) else None
    return answer
