"""What is wrong with a config, in its own words: where, what, and what would be right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from pipelines.base.redaction import redacted
from stages.core.words import did_you_mean


def explained(error: ErrorDetails, sections: Mapping[str, FieldInfo]) -> str:
    """One pydantic error. `sections` are the fields of what was validated."""
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown key {place}{_nearest(error['loc'], sections)}"
    if error["type"] == "missing":
        return f"{place} is missing"
    message = error["msg"].removeprefix("Value error, ")
    if not place:  # of the config as a whole
        return message
    if error["type"] in ("value_error", "assertion_error"):
        return f"{place}: {message}"
    (given,) = redacted({str(error["loc"][-1]) if error["loc"] else "": error["input"]}).values()
    return f"{place}: {message}, not {given!r:.80}"


def _nearest(location: tuple[int | str, ...], fields: Mapping[str, FieldInfo]) -> str:
    """The known keys beside an unknown one, the nearest first."""
    kind: object = None
    for part in location[:-1]:
        if isinstance(part, int):
            continue  # a place in a list, of whose kind the list told
        kind = _settings_in(fields[part].annotation) if part in fields else None
        if not isinstance(kind, type) or not issubclass(kind, BaseModel):
            return ""
        fields = kind.model_fields
    return did_you_mean(str(location[-1]), fields)


def _settings_in(annotation: object) -> object:
    """The section that a field holds, or a list of them."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation
    found = (_settings_in(one) for one in get_args(annotation))
    return next((one for one in found if isinstance(one, type) and issubclass(one, BaseModel)), None)
