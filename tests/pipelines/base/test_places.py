from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.base.places import place_in
from stages.core.errors import DataError

INSIDE = Path("/somewhere/inside")


@pytest.mark.parametrize("name", ["20260101-000000-small-0a1b", "a.bm25", "数据", "..a", "a b"])
def test_a_plain_name_lies_in_the_folder(name: str) -> None:
    assert place_in(INSIDE, name, "it") == INSIDE / name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "/x", "a/../../x", "a/b", "a\\b", "a\nb", "a\0b", "a" * 256, "\ud800"]
)
def test_a_name_that_leads_elsewhere_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(DataError, match=r"^its tag .* cannot name a folder") as raised:
        place_in(INSIDE, name, "its tag")
    assert "\n" not in str(raised.value)


@given(st.text())
def test_whatever_the_name_nothing_lies_elsewhere(name: str) -> None:
    try:
        place = place_in(INSIDE, name, "it")
    except DataError:
        return
    assert place.parent == INSIDE
    assert os.path.normpath(place) == str(place)
