"""JSON that gives each key of an object once. Python's reader takes the last of two, and says nothing."""

from __future__ import annotations

import json
from typing import Any


class OnceDecoder:
    """After a value was decoded `fault` tells of a key that stands twice in an object, with two values; else None."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self._json = json.JSONDecoder(object_pairs_hook=self._object)

    def decode(self, text: str) -> Any:
        """Of all of the text. Raises ValueError and RecursionError, as `json.loads`."""
        self.fault = None
        return self._json.decode(text)

    def raw_decode(self, text: str, at: int) -> tuple[Any, int]:
        """Of what begins at a place; and the place behind it."""
        self.fault = None
        return self._json.raw_decode(text, at)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            for key, value in pairs:
                if value != found[key]:
                    self.fault = f"the key {key!r:.60} stands twice, with two values: nobody can say which is meant"
        return found
