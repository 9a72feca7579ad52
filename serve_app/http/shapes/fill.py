"""Templates filled in: answers and errors in a shape, and the schemas of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from serve_app.http.api_models import RerankResponse, ScoreResponse
from serve_app.http.refusal import RefusalError
from serve_app.http.shapes.request import Wanted
from serve_app.http.shapes.shape import Shape, Slot, Template
from serve_app.http.shapes.table import ERROR

Values = Mapping[Slot, Any]
ABSENT = object()  # the key of such a slot is left out

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
    504: "timeout_error",
}
TEI_TYPES = {400: "Empty", 429: "Overloaded", 503: "Unhealthy", 500: "Backend", 504: "Backend"}


def filled(template: Any, values: Values) -> Any:
    """The template with its slots' values."""
    if isinstance(template, Slot):
        return values.get(template, ABSENT)
    if isinstance(template, Mapping):
        pairs = ((key, filled(value, values)) for key, value in template.items())
        return {key: value for key, value in pairs if value is not ABSENT}
    if isinstance(template, list):
        return [filled(one, values) for one in template]
    return template


def error_body(shape: Shape | None, refusal: RefusalError) -> dict[str, Any]:
    """An error as the shape's clients read it, or in the form that all have in common."""
    template: dict[str, Any] = dict(ERROR)
    if shape is not None:
        template |= shape.error
        template |= shape.unprocessable if refusal.status == 422 else {}
    status = refusal.status
    values = {
        Slot.MESSAGE: refusal.message,
        Slot.TYPE: TYPES.get(status, "server_error"),
        Slot.PARAM: refusal.param,
        Slot.PLACE: ["body", *(refusal.param or "").split(".")] if refusal.param else ["body"],
        Slot.CODE: refusal.reason,
        Slot.STATUS: status,
        Slot.TEI_TYPE: TEI_TYPES.get(status, "Validation"),
    }
    body: dict[str, Any] = filled(template, values)
    return body


def answer_body(shape: Shape, wanted: Wanted, done: RerankResponse | ScoreResponse, *, echo: bool) -> Any:
    """The answer in the shape."""
    scored = _scored(done)
    order = scored if shape.best_first else sorted(scored)
    results = [_result(shape.item, wanted, index, score, echo=echo) for index, score in order]
    values: dict[Slot, Any] = {
        Slot.ID: done.id,
        Slot.MODEL: done.model,
        Slot.CREATED_S: int(time.time()),
        Slot.RESULTS: results,
        Slot.SCORES: [score for _, score in sorted(scored)],
        Slot.RETURNED: len(results),
        Slot.ECHOED: echo,
        Slot.TOKENS: done.usage.prompt_tokens,
        Slot.CACHED_TOKENS: done.usage.cached_tokens,
        Slot.TEXT_BYTES: sum(len(text.encode()) for text in wanted.texts),
    }
    if isinstance(done, RerankResponse):
        timings = done.meta["timings_ms"]
        values |= {Slot.TRUNCATED: done.truncated, Slot.TIMINGS_MS: timings, Slot.TOTAL_S: timings["total"] / 1000}
        values |= {Slot.PASSAGES: done.passages} if done.passages else {}
    return filled(shape.answer, values)


def _scored(done: RerankResponse | ScoreResponse) -> Sequence[tuple[int, float]]:
    if isinstance(done, RerankResponse):
        return [(one.index, one.relevance_score) for one in done.results]
    return [(one.index, one.score) for one in done.data]


def _result(item: Template, wanted: Wanted, index: int, score: float, *, echo: bool) -> Any:
    values: dict[Slot, Any] = {Slot.INDEX: index, Slot.SCORE: score}
    if echo:
        text, sent = wanted.texts[index], wanted.sent[index]
        # What was sent, and what was ranked of it where that has another name.
        values |= {Slot.TEXT: text, Slot.OBJECT: {"text": text} if isinstance(sent, str) else {"text": text, **sent}}
    return filled(item, values)
