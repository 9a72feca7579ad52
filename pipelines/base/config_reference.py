"""The config reference as Markdown, made from the settings themselves: `python -m pipelines.base.config_reference`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipelines.base.config import RunConfig
from pipelines.base.judge_config import JudgeConfig, JudgedSettings
from pipelines.base.judge_sections import JudgeSettings


def config_reference() -> str:
    """One table per section: key, what it takes, its default, what it means. At the end what a judge's config has of
    its own.
    """
    own = [_section("judge", JudgeSettings), _section("evaluate", JudgedSettings)]
    others = ", ".join(f"`{name}`" for name in JudgeConfig.model_fields if name not in ("judge", "evaluate"))
    judge = f"The config of `rerank-eval judge` has the sections {others} as above, and two of its own:\n"
    return "\n".join([*_sections("", RunConfig), judge, *own])


def _sections(prefix: str, model: type[BaseModel]) -> Iterator[str]:
    """A section for each field that is itself a model, or a mapping of names to one, and after it those within."""
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield _section(f"{prefix}{name}", inner)
            yield from _sections(f"{prefix}{name}.", inner)
        elif isinstance(named := (get_args(inner) or [None])[-1], type) and issubclass(named, BaseModel):
            yield _section(f"{prefix}{name}.NAME", named)
        for listed in _listed(inner):
            yield _section(f"{prefix}{name}[]", listed)


def _listed(annotation: Any) -> Iterator[type[BaseModel]]:
    """The settings of which a field holds a list; their own sections are as elsewhere."""
    for inner in get_args(annotation):
        if get_origin(inner) is tuple:
            yield from (one for one in get_args(inner) if isinstance(one, type) and issubclass(one, BaseModel))


def _section(name: str, model: type[BaseModel]) -> str:
    head = f"**`{name}`** {(model.__doc__ or '').splitlines()[0]}\n\n| key | takes | default | |\n|---|---|---|---|\n"
    rows = (
        f"| `{key}` | {_takes(one.annotation)} | {_default(one)} | {one.description} |\n"
        for key, one in model.model_fields.items()
        if not (isinstance(one.annotation, type) and issubclass(one.annotation, BaseModel))
    )
    return head + "".join(rows)


def _takes(annotation: Any) -> str:
    """A type in the words of YAML."""
    choices = get_args(annotation)
    if choices and all(isinstance(choice, str) for choice in choices):
        return ", ".join(choices)
    if type(None) in choices:
        return ", ".join([*(_takes(choice) for choice in choices if choice is not type(None)), "null"])
    words = {"str": "text", "int": "whole number", "float": "number", "bool": "true, false", "Path": "file"}
    name = getattr(annotation, "__name__", "")
    return words.get(name, {"dict": "mapping", "tuple": "list"}.get(name, name))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    return f"`{json.dumps(value, default=str)}`"


if __name__ == "__main__":
    print(config_reference())
