"""Nested mappings -> one level, as params and metrics are named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def flatten(content: dict[str, Any], prefix: str = "", joint: str = ".") -> Iterator[tuple[str, Any]]:
    """(`a.b`, value) of each leaf; an empty mapping is one."""
    for name, value in content.items():
        if isinstance(value, dict) and value:
            yield from flatten(value, f"{prefix}{name}{joint}", joint)
        else:
            yield f"{prefix}{name}", value
