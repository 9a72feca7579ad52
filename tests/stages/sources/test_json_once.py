"""A key that stands twice in a row of the user's JSON is told: Python's reader takes the last one."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.core.records import SetAside
from stages.sources.formats.json_values import read_json
from stages.sources.lines import read_objects

ROWS = [
    '{"_id": "d1", "text": "one"}',
    '{"_id": "d2", "text": "two", "text": "2"}',
    '{"_id": "d3", "documents": [{"text": "three"}, {"text": "3", "text": "III"}]}',
    '{"_id": "d4", "text": "four", "text": "four"}',
]
TOLD = "the key 'text' stands twice, with two values: nobody can say which is meant"


@pytest.mark.parametrize("form", ["lines", "array"])
def test_a_row_that_gives_a_key_two_values_is_set_aside_and_one_that_repeats_a_value_is_not(
    form: str, tmp_path: Path
) -> None:
    path, aside = tmp_path / "rows.json", list[SetAside]()
    path.write_text("\n".join(ROWS) if form == "lines" else "[" + ",\n".join(ROWS) + "]")
    read = read_objects if form == "lines" else read_json
    assert [record.fields["_id"] for record in read(path, aside.append)] == ["d1", "d4"]
    assert [(row.where.line, row.reason) for row in aside] == [(2, TOLD), (3, TOLD)]
