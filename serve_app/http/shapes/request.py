"""A body -> its shape, and what it asks for in our words. Parsed by pydantic's own parser, which bounds nesting and
refuses lone surrogates and what is no JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import AliasChoices, AliasPath, BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import PydanticCustomError, from_json

from serve_app.http.api_models import RerankRequest, ScoreRequest
from serve_app.http.refusal import RefusalError
from serve_app.http.shapes.fields import OPTIONAL, REQUIRED, text_of
from serve_app.http.shapes.shape import Shape
from serve_app.http.shapes.table import SHAPES

BY_NAME = {shape.name: shape for shape in SHAPES}
AT_PATH = {path: tuple(one for one in SHAPES if path in one.paths) for shape in SHAPES for path in shape.paths}

NO_OBJECT = "the body should be a JSON object"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a body asks for: of the engines (`request`), and of the answer. `sent` are the documents as they came."""

    request: RerankRequest | ScoreRequest
    sent: Sequence[str | Mapping[str, Any]]
    texts: Sequence[str]
    return_documents: bool | None


def default_shape(path: str) -> Shape | None:
    """Of a path before its body is known: the shape that its address names, or the one that takes what is left."""
    first, _, rest = path.strip("/").partition("/")
    shapes = AT_PATH.get("/" + path.strip("/"), ())
    named = BY_NAME.get(first) if rest or not shapes else None
    return named or (shapes[-1] if shapes else None)


def parsed(content: bytes) -> Any:
    """Any JSON. Raises RefusalError."""
    try:
        return from_json(content)
    except ValueError as error:
        raise RefusalError(400, "bad_request", f"Invalid JSON: {error}") from error


def shape_of(candidates: Sequence[Shape], body: Any, headers: Mapping[str, str]) -> Shape:
    """The first that knows the request by a key of its body or a header, or else the last."""
    keys = body.keys() if isinstance(body, dict) else ()
    for shape in candidates:
        if any(key in keys for key in shape.known_by) or any(name in headers for name in shape.headers):
            return shape
    return candidates[-1]


def wanted(shape: Shape, body: Any, model: str | None = None) -> Wanted:
    """What a body asks for; `model` is the one that its path names. Raises RefusalError with all that is wrong."""
    try:
        told = model_of(shape).model_validate(_without_nulls(body)).__dict__
    except ValidationError as error:
        raise _malformed(shape, error) from error
    get = told.get
    sent = told["documents"]
    texts = _texts(shape, sent, get("rank_fields"))
    common: dict[str, Any] = {
        "model": get("model") or model,
        "instruction": get("instruction"),
        "max_tokens_per_doc": get("max_tokens_per_doc") or None,
        "scores": "raw" if get("raw_scores") or get("activation") is False else shape.scores,
        "may_cut": get("truncate") is not False,
        "documents": texts,
    }
    if shape.of_pairs:
        return Wanted(ScoreRequest(queries=told["queries"], **common), sent, texts, None)
    request = RerankRequest(query=told["query"], top_n=get("top_n") or None, **common)
    return Wanted(request, sent, texts, get("return_documents"))


def _without_nulls(body: Any) -> Any:
    """A field that is null is not there: pydantic would take it for the first of a field's names, and the others, which
    may hold something, for nothing.
    """
    return {key: value for key, value in body.items() if value is not None} if isinstance(body, dict) else body


@cache
def model_of(shape: Shape) -> type[BaseModel]:
    """Of the body. Unknown keys are ignored, as the clients of several vendors send their own."""
    fields: dict[str, Any] = {}
    for ours, theirs in shape.names.items():
        alias = AliasChoices(*(AliasPath(*name.split(".")) for name in theirs))
        if ours in REQUIRED:
            fields[ours] = (REQUIRED[ours], Field(validation_alias=alias))
        else:
            fields[ours] = (OPTIONAL[ours][0] | None, Field(None, validation_alias=alias))
    model: type[BaseModel] = create_model(shape.name, __config__=ConfigDict(strict=True), **fields)
    return model


def _texts(shape: Shape, documents: Sequence[str | dict[str, Any]], rank_fields: Sequence[str] | None) -> list[str]:
    """What is ranked of each document."""
    name = shape.names["documents"][0]
    return [
        one if isinstance(one, str) else _ranked(f"{name}.{index}", one, rank_fields)
        for index, one in enumerate(documents)
    ]


def _ranked(place: str, document: dict[str, Any], rank_fields: Sequence[str] | None) -> str:
    if rank_fields:
        return "\n".join(_field(place, document, name) for name in rank_fields)
    try:
        text = text_of(document)
    except PydanticCustomError as error:
        raise RefusalError(422, "bad_request", f"{place}: {error.message()}", place) from error
    if not isinstance(text, str):
        fault = "Field required" if document.get("text") is None else "Input should be a valid string"
        raise RefusalError(422, "bad_request", f"{place}.text: {fault}", place)
    return text


def _field(place: str, document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    fault = "Field required" if value is None else "Input should be a valid string or number"
    raise RefusalError(422, "bad_request", f"{place}.{name:.100}: {fault}", place)


def _malformed(shape: Shape, error: ValidationError) -> RefusalError:
    """All that is wrong with the body; `param` is the first place."""
    names = {part for theirs in shape.names.values() for name in theirs for part in name.split(".")}
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    # What else is in a `loc` are pydantic's names of types.
    places = [".".join(str(part) for part in one["loc"] if part in names or isinstance(part, int)) for one in faults]
    messages = [f"{place}: {one['msg']}" if place else NO_OBJECT for place, one in zip(places, faults, strict=True)]
    return RefusalError(422, "bad_request", "; ".join(messages), places[0] or None)
