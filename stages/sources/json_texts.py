"""JSON that was written as text where objects, or lists of them, should be."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from stages.sources.columns import Columns, MalformedRowError


def refuse_json_texts(documents: Sequence[object], columns: Columns) -> None:
    """Objects that were written as text would be reranked with all they hold, their labels among it."""
    given = [one for one in documents if one is not None]
    if not given or not all(isinstance(one, str) and one.lstrip().startswith("{") for one in given):
        return
    ours = {name for wanted in ("doc_id", "text") for name in columns.names(wanted)} - {"id"}  # any record has an `id`
    objects = [_parsed(one) for one in given]
    if all(isinstance(one, dict) and not ours.isdisjoint(one) for one in objects):
        raise MalformedRowError(
            'documents are JSON objects written as text: decode them, or give each as {"text": ...} if the JSON itself '
            f"is to be reranked; keys {', '.join(objects[0])}"
        )


def is_json(value: object) -> bool:
    return isinstance(value, str) and isinstance(_parsed(value), dict | list)


def _parsed(text: object) -> Any:
    try:
        return json.loads(str(text))
    except (ValueError, RecursionError):
        return None
