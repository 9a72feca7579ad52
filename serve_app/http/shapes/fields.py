"""What a request may say, in our words: each field's type, its default, and what it means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool
from pydantic_core import PydanticCustomError


def text_of(value: Any) -> Any:
    """A text that may be wrapped: {"text": ...}, or vLLM's {"content": text or [parts]}. What is none stays, for
    pydantic to refuse. Raises PydanticCustomError for what is no text.
    """
    if isinstance(value, dict) and "content" in value:
        value = value["content"]
        return "\n".join(map(_part, value)) if isinstance(value, list) else value
    if isinstance(value, dict) and isinstance(value.get("text"), str):
        if value.get("image") is None:
            return value["text"]
        raise _no_text("image")
    if isinstance(value, dict) and "image" in value:
        raise _no_text("image")
    return value


def _part(part: Any) -> str:
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return str(part["text"])
    raise _no_text(str(part.get("type", "unnamed")) if isinstance(part, dict) else type(part).__name__)


def _no_text(kind: str) -> PydanticCustomError:
    return PydanticCustomError(
        "text_alone", "{kind} cannot be read: this service ranks text alone", {"kind": kind[:40]}
    )


def _whole(value: object) -> object:
    """JSON has one kind of number: its schema takes 3.0 for an integer, and some clients write it so."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _flag(value: object) -> object:
    """Some clients write "true"."""
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


def _may_be_cut(value: object) -> object:
    """NIM's and Cohere's words for it are NONE and END."""
    return {"none": False, "end": True}.get(value.lower(), _flag(value)) if isinstance(value, str) else value


def _one_or(kind: Any) -> BeforeValidator:
    """One document, or one query, needs no list around it."""

    def several(value: object) -> object:
        return [value] if isinstance(value, str | dict) else value

    many = Annotated[list[kind], Field(min_length=1)]
    return BeforeValidator(several, json_schema_input_type=kind | many)


def _end_alone(value: object) -> object:
    if value is not None and str(value).lower() != "right":
        raise PydanticCustomError("cut_at_end", "documents are cut at their end here: leave it out, or say right")
    return None


def _not_obeyed(value: object) -> object:
    """0 and -1 ask for nothing."""
    if isinstance(value, bool) or value not in (None, 0, -1):
        raise PydanticCustomError("not_obeyed", "is not obeyed here: leave it out, or give max_tokens_per_doc")
    return None


# What may be sent in place of a text, of a list and of a flag, as OpenAPI tells it.
WRAPPED = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
Sent = str | Annotated[dict[str, Any], Field(json_schema_extra=WRAPPED)]
SentText = Annotated[str, Field(min_length=1)]
Word = Literal["true", "false"]

Text = Annotated[str, Field(min_length=1), BeforeValidator(text_of)]
Flag = Annotated[StrictBool, BeforeValidator(_flag, json_schema_input_type=bool | Word)]
Number = Annotated[int, Field(ge=0), BeforeValidator(_whole)]
# A list stops at its first fault: millions of faults in one body would fill the memory.
Documents = Annotated[list[str | dict[str, Any]], Field(min_length=1, fail_fast=True), _one_or(Sent)]
Queries = Annotated[list[Text], Field(min_length=1, fail_fast=True), _one_or(SentText)]
Unlimited = Annotated[Any, BeforeValidator(_not_obeyed, json_schema_input_type=Literal[0, -1])]

REQUIRED: dict[str, Any] = {"query": Text, "queries": Queries, "documents": Documents}
# null is taken for each of them, as if it were not there.
OPTIONAL: dict[str, tuple[Any, str]] = {
    "top_n": (Number, "Only the best so many results. 0: all."),
    "return_documents": (Flag, "Whether each result holds its document."),
    "rank_fields": (
        Annotated[list[str], Field(min_length=1, fail_fast=True)],
        "Which values of a document that is an object are ranked, in this order. Else its text.",
    ),
    "instruction": (Annotated[str, Field(min_length=1)], "What relevance means for this query."),
    "max_tokens_per_doc": (Number, "Cut documents to so many tokens. 0: as far as they fit."),
    "truncate": (
        Annotated[
            StrictBool, BeforeValidator(_may_be_cut, json_schema_input_type=bool | Word | Literal["NONE", "END"])
        ],
        "Whether a document that does not fit may be cut; if not, the request is refused.",
    ),
    "raw_scores": (Flag, "The model's raw values in place of scores, refused where it has none."),
    "activation": (Flag, "false: as raw_scores."),
    "model": (str, "The served model, or one of serve.http.model_names, if given."),
    "cut_end": (
        Annotated[Any, BeforeValidator(_end_alone, json_schema_input_type=Literal["right", "Right"])],
        "Which end is cut: right alone.",
    ),
    "prompt_limit": (Unlimited, "Not obeyed: 0, -1 and null are taken."),
    "query_limit": (Unlimited, "Not obeyed: 0, -1 and null are taken."),
}
