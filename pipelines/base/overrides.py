"""--set section.key=value: applied to a config's content before it is validated. A number is a place in a list, as in
rerank.stages.1.depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipelines.base.redaction import redacted_text
from pipelines.base.yaml_text import parse_yaml
from stages.core.errors import ConfigError


def set_keys(content: dict[str, Any], overrides: Sequence[str]) -> None:
    """`set_key` for each, in any order. Raises ConfigError where two disagree, or where one key lies in another."""
    known: dict[tuple[str, ...], Any] = {}
    for override in overrides:
        set_key(content, override)
        names, value = _key_and_value(override)
        for other, given in known.items():
            shorter = min(len(names), len(other))
            if names[:shorter] == other[:shorter] and (names, repr(value)) != (other, repr(given)):
                keys = " and ".join(dict.fromkeys((".".join(other), ".".join(names))))
                raise ConfigError(
                    f"--set {keys}: set twice, each time otherwise (by --set, or an option that stands for it); "
                    "keep one of them"
                )
        known[names] = value


def set_key(content: dict[str, Any], override: str) -> None:
    """Apply one `section.key=value` to the content of a config. Raises ConfigError where it is written otherwise."""
    names, value = _key_and_value(override)
    told = f"--set {redacted_text(override)}"
    target: dict[str, Any] | list[Any] = content
    for number, name in enumerate(names[:-1]):
        target = _within(target, name, f"{told}: {'.'.join(names[: number + 1])}", told)
    if isinstance(target, dict):
        target[names[-1]] = value
    else:
        target[_place(target, names[-1], f"{told}: {'.'.join(names)}")] = value


def _within(target: dict[str, Any] | list[Any], name: str, key: str, told: str) -> dict[str, Any] | list[Any]:
    """What the key holds, made where there is nothing yet. A list is copied: the content may share it."""
    place: Any = _place(target, name, key) if isinstance(target, list) else name
    found = target[place] if isinstance(target, list) else target.get(place)
    if found is None:
        found = {}
    elif isinstance(found, list | tuple):
        found = list(found)
    elif not isinstance(found, dict):
        raise ConfigError(f"{told}: {name} holds a value, not keys")
    target[place] = found
    return found


def _place(target: list[Any], name: str, key: str) -> int:
    if name.isdecimal() and int(name) < len(target):
        return int(name)
    there = f"0 to {len(target) - 1}" if target else "none: it is empty"
    raise ConfigError(f"{key}: a list, whose places are {there}")


def _key_and_value(override: str) -> tuple[tuple[str, ...], Any]:
    key, equals, value = override.partition("=")
    names, told = tuple(key.strip().split(".")), f"--set {redacted_text(override)}"
    if not equals or not all(names) or len(names) < 2:
        raise ConfigError(f"{told}: write section.key=value, as in --set data.depth=50")
    return names, parse_yaml(value, told)
