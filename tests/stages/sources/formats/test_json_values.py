"""JSON is read in whatever pieces it comes, a value at a time."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.core.records import SetAside
from stages.sources.formats import json_values
from stages.sources.formats.json_values import read_json
from tests.examples import examples

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.lists(st.dictionaries(st.text(max_size=4), VALUES, min_size=1, max_size=3), min_size=1, max_size=5)
FORMS: dict[str, Callable[[list[dict[str, Any]]], str]] = {
    "lines": lambda rows: "".join(json.dumps(row) + "\n" for row in rows),
    "an array": json.dumps,
    "an indented array": lambda rows: json.dumps(rows, indent=2, ensure_ascii=False),
    "arrays one after the other": lambda rows: "".join(json.dumps([row], indent=1) for row in rows),
    "indented objects one after the other": lambda rows: "\n".join(json.dumps(row, indent=1) for row in rows),
}


def records(path: Path) -> tuple[list[object], list[str]]:
    aside: list[SetAside] = []
    return [dict(record.fields) for record in read_json(path, aside.append)], [row.reason for row in aside]


@pytest.mark.parametrize("bytes_per_read", [64, 2**20])
@pytest.mark.parametrize("form", FORMS)
@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=OBJECTS)
def test_every_form_holds_the_same_objects(
    rows: list[dict[str, Any]], form: str, bytes_per_read: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_values, "BYTES_PER_READ", bytes_per_read)
    path = tmp_path / "rows.json"
    path.write_text(FORMS[form](rows), encoding="utf-8")
    assert records(path) == (rows, [])


def test_an_array_is_read_packed_as_well(tmp_path: Path) -> None:
    path = tmp_path / "rows.json.gz"
    path.write_bytes(gzip.compress(b'\xef\xbb\xbf[{"a": 1}, {"a": 2}]'))
    assert records(path) == ([{"a": 1}, {"a": 2}], [])


def test_what_is_no_object_is_set_aside_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[\n{"a": 1},\n7,\n[{"b": 2}]\n]')
    aside: list[SetAside] = []
    assert [record.where.line for record in read_json(path, aside.append)] == [2]
    assert [(row.where.line, row.reason) for row in aside] == [
        (3, "not a JSON object but int"),
        (4, "not a JSON object but list"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{"a": 1},\n{"a": tru}]', ":2: not JSON: Expecting value"),
        ('[{"a": 1},\n{"a": 1', ":2: not JSON: Expecting ',' delimiter"),
        ('[{"a": 1}\n', ":2: the file ends within an array"),
        ('[{"a": "b', ":1: not JSON: Unterminated string"),
        ('[{"a": 1}] x', ":1: not JSON: Expecting value"),
        ('[{"a": "\udcff"}]', "not UTF-8"),
    ],
)
def test_a_damaged_array_is_refused_where_it_breaks(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError) as refused:
        records(path)
    assert told in str(refused.value)
    assert "see that the file is complete" in str(refused.value)


def test_a_value_without_an_end_does_not_take_all_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "BYTES_PER_READ", 2**10)
    monkeypatch.setattr(json_values, "LARGEST_VALUE", 2**12)
    path = tmp_path / "rows.json"
    path.write_text('["' + "a" * 2**20)
    with pytest.raises(DataError, match="a value of more than 4,096 characters"):
        records(path)
