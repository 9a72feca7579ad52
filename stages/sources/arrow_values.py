"""What an Arrow column holds, as Python values: JSON that a column declares is decoded, however deep it lies.

`datasets` keeps what has no one type (an optional key, an id that is now a number and now text) as `arrow.json`, and
DuckDB's JSON columns come as the same. A column of plain strings is text, whatever it looks like.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

import pyarrow as pa

Decode = Callable[[Any], Any]


def row_decoder(schema: pa.Schema) -> Decode | None:
    """What decodes a row, in place; None where no column holds JSON. It raises ValueError for what is no JSON."""
    columns = {field.name: decode for field in schema if (decode := _decoder(field.type))}

    def decode_row(row: dict[str, Any]) -> dict[str, Any]:
        for name, decode in columns.items():
            row[name] = None if row[name] is None else decode(row[name])
        return row

    return decode_row if columns else None


def never_rows(schema: pa.Schema, named: Collection[str]) -> list[str]:
    """Columns that no layout reads, unless they are among `named`: vectors of fixed size, and times.

    Embeddings are dear to decode, a vector that is null cannot be read at all, and a time that Python cannot hold would
    spoil its row.
    """
    return [field.name for field in schema if field.name not in named and _is_beside(field.type)]


def lists_of(schema: pa.Schema) -> list[str]:
    """The columns that are or hold a list of fixed size; where there is none, those with any list."""
    return _holding(schema, pa.types.is_fixed_size_list) or _holding(schema, _is_list)


def json_value(text: str) -> Any:
    """What JSON text holds.

    `datasets` stores a string that it can read as a number as it is, 007 and 1e5 without quotes, and so would give back
    7 and 100000.0: what is no number in its usual form is the text that it was.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        if text.lstrip()[:1] not in ("{", "[", '"'):
            return text
        raise ValueError(f"not JSON: {error}") from error
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return text if is_number and repr(value) != text else value


def _decoder(kind: pa.DataType) -> Decode | None:
    if isinstance(kind, pa.JsonType):
        return json_value
    if pa.types.is_struct(kind):
        return row_decoder(pa.schema(list(kind)))
    if pa.types.is_map(kind):
        return _pairs_decoder(_decoder(kind.key_type), _decoder(kind.item_type))
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _decoder(kind.value_type)
    inner = _decoder(kind.value_type) if _is_list(kind) else None
    return None if inner is None else lambda values: [None if one is None else inner(one) for one in values]


def _pairs_decoder(key: Decode | None, item: Decode | None) -> Decode | None:
    if key is None and item is None:
        return None

    def decode(pairs: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
        return [
            (key(one) if key else one, item(other) if item and other is not None else other) for one, other in pairs
        ]

    return decode


def _is_list(kind: pa.DataType) -> bool:
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in (*tests, pa.types.is_list_view, pa.types.is_large_list_view))


def _is_beside(kind: pa.DataType) -> bool:
    if pa.types.is_fixed_size_list(kind):
        return bool(pa.types.is_primitive(kind.value_type))
    return bool(pa.types.is_temporal(kind))


def _holding(schema: pa.Schema, wanted: Callable[[pa.DataType], bool]) -> list[str]:
    def holds(kind: pa.DataType) -> bool:
        return wanted(kind) or any(holds(kind.field(place).type) for place in range(kind.num_fields))

    return [field.name for field in schema if holds(field.type)]
