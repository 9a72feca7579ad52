"""The shapes of a path as OpenAPI says them: schemas of bodies, answers and errors, made from the table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter

from serve_app.http.shapes.fields import OPTIONAL, REQUIRED
from serve_app.http.shapes.shape import Shape, Slot
from serve_app.http.shapes.table import ERROR

STATUSES = (400, 401, 404, 408, 413, 415, 422, 429, 500, 503, 504)
TEXT, NUMBER, COUNT = {"type": "string"}, {"type": "number"}, {"type": "integer"}
TYPES: Mapping[Slot, Mapping[str, Any]] = {
    Slot.CREATED_S: COUNT,
    Slot.SCORES: {"type": "array", "items": NUMBER},
    Slot.RETURNED: COUNT,
    Slot.ECHOED: {"type": "boolean"},
    Slot.TOKENS: COUNT,
    Slot.CACHED_TOKENS: COUNT,
    Slot.TRUNCATED: {"type": "array", "items": COUNT, "description": "Indices of documents that were cut."},
    Slot.PASSAGES: {"type": "object", "description": "Index of each document read in several passages -> how many."},
    Slot.TIMINGS_MS: {"type": "object", "additionalProperties": NUMBER},
    Slot.TOTAL_S: NUMBER,
    Slot.TEXT_BYTES: COUNT,
    Slot.INDEX: COUNT,
    Slot.SCORE: NUMBER,
    Slot.OBJECT: {"type": "object"},
    Slot.PARAM: {"type": ["string", "null"]},
    Slot.PLACE: {"type": "array", "items": TEXT},
    Slot.STATUS: COUNT,
}
MAY_LACK = (Slot.OBJECT, Slot.TEXT, Slot.PASSAGES)


def described(path: str, shapes: Sequence[Shape]) -> dict[str, Any]:
    """The arguments of a route whose body is parsed by us."""
    apis = "; ".join(f"{one.apis} ({one.name})" for one in reversed(shapes))
    what = "Score pairs of texts" if shapes[-1].of_pairs else "Order documents by their relevance to a query"
    body = {"required": True, "content": _json([body_schema(shape) for shape in shapes])}
    answers: dict[int | str, Any] = {
        200: {"description": "Scores", "content": _json([_schema(one.answer, one) for one in shapes])}
    }
    parameters = [{"name": "model", "in": "path", "required": True, "schema": TEXT}] if "{" in path else []
    return {
        "summary": what,
        "description": f"{what}, in the shape of {apis}.",
        "operation_id": re.sub(r"\W+", "_", path).strip("_") or "root",
        "openapi_extra": {"requestBody": body, "parameters": parameters},
        "responses": answers | errors(*STATUSES, shapes=shapes),
        "response_model": None,
    }


def errors(*statuses: int, shapes: Sequence[Shape] = ()) -> dict[int | str, dict[str, Any]]:
    """The answers with these statuses."""
    told: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        forms = [{**ERROR}] if not shapes else []
        for shape in shapes:
            forms.append({**ERROR, **shape.error, **(shape.unprocessable if status == 422 else {})})
        told[status] = {"description": "Refused", "content": _json([_schema(form, None) for form in forms])}
    return told


def body_schema(shape: Shape) -> dict[str, Any]:
    """What the shape takes, under the first name of each field."""
    marks = {key: {"description": "Tells this shape from others."} for key in shape.known_by}
    schema: dict[str, Any] = {"type": "object", "title": shape.name, "properties": marks, "required": []}
    for ours, (name, *others) in shape.names.items():
        also = f" Or: {', '.join(others)}." if others else ""
        kind, text = (REQUIRED[ours], "") if ours in REQUIRED else OPTIONAL[ours]
        told = TypeAdapter(kind if ours in REQUIRED else kind | None).json_schema()
        *outer, last = name.split(".")
        place = schema
        for one in outer:
            place = place["properties"].setdefault(one, {"properties": {}, "required": []})
        place["properties"][last] = {**told, "description": text + also}
        if ours in REQUIRED:
            place["required"].append(last)
            schema["required"] = [*{*schema["required"], *outer[:1]}] if outer else schema["required"]
            place["type"] = "object"
    schema["required"] += [key for key in shape.known_by[:1] if len(marks[key]) == 1]
    return schema


def _json(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    different = [one for at, one in enumerate(schemas) if one not in schemas[:at]]
    return {"application/json": {"schema": different[0] if len(different) == 1 else {"anyOf": different}}}


def _schema(template: Any, shape: Shape | None) -> dict[str, Any]:
    if template is Slot.RESULTS and shape is not None:
        return {"type": "array", "items": _schema(shape.item, shape)}
    if isinstance(template, Slot):
        return {**TYPES.get(template, TEXT)}
    if isinstance(template, Mapping):
        properties = {key: _schema(value, shape) for key, value in template.items()}
        return {
            "type": "object",
            "properties": properties,
            "required": [key for key, value in template.items() if value not in MAY_LACK],
        }
    if isinstance(template, list):
        return {"type": "array", "items": _schema(template[0], shape)}
    return {"const": template}
