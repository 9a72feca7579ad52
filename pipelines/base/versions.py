"""Files carry the version of their keys: an older one is read, a newer one is refused instead of misread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stages.core.errors import DataError

CONFIG_RENAMED: Mapping[int, Mapping[str, str]] = {}
"""Version of a config -> the keys that the next version calls otherwise, `section.key` -> `section.key`."""


def check_version(told: object, known: int, what: str) -> int:
    """The version that a file tells. Raises DataError, which calls the file `what`, for one that is not `known` yet."""
    if isinstance(told, bool) or not isinstance(told, int) or told < 1:
        raise DataError(f"{what}: schema_version {told!r:.40} is none. rerank-eval writes whole numbers from 1 on.")
    if told > known:
        raise DataError(
            f"{what} was written by a newer rerank-eval (schema_version {told}; this one knows {known}). Upgrade it: "
            "pip install --upgrade rerank-eval"
        )
    return told


def of_today(content: Mapping[str, Any], version: int) -> dict[str, Any]:
    """A copy of a config of this version, its keys under their names of today."""
    copied: dict[str, Any] = _copied(content)
    for told in sorted(CONFIG_RENAMED):
        if told >= version:
            for before, after in CONFIG_RENAMED[told].items():
                _rename(copied, before.split("."), after.split("."))
    return copied


def _rename(content: dict[str, Any], before: list[str], after: list[str]) -> None:
    source: Any = content
    for name in before[:-1]:
        source = source.get(name) if isinstance(source, dict) else None
    if not isinstance(source, dict) or before[-1] not in source:
        return
    value, target = source.pop(before[-1]), content
    if not source and len(before) == 2:  # a section that has no key any more
        content.pop(before[0], None)
    for name in after[:-1]:
        if not isinstance(target.get(name), dict):
            target[name] = {}
        target = target[name]
    target[after[-1]] = value


def _copied(value: Any) -> Any:
    return {name: _copied(one) for name, one in value.items()} if isinstance(value, Mapping) else value
