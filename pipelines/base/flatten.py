"""Nested mappings -> one level, as params and metrics are named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def flatten(
    content: dict[str, Any], prefix: str = "", joint: str = ".", *, lists: bool = False
) -> Iterator[tuple[str, Any]]:
    """(`a.b`, value) of each leaf; an empty mapping is one. With `lists` one of mappings counts as the mapping of its
    places: `rerank.stages.0.depth`.
    """
    for name, value in content.items():
        several = lists and isinstance(value, list | tuple) and all(isinstance(one, dict) for one in value)
        inner = {str(place): one for place, one in enumerate(value)} if several else value
        if isinstance(inner, dict) and inner:
            yield from flatten(inner, f"{prefix}{name}{joint}", joint, lists=lists)
        else:
            yield f"{prefix}{name}", value
