"""Both sides read the same collection whole, each in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.measure import reading
from tests.measure.checkout import ROOT, Side


@pytest.mark.heavy
def test_both_sides_read_all_that_was_made_for_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reading.write_collection(tmp_path, lines=300, documents=150)
    found = reading.measure(Side("old", ROOT), "collection", tmp_path, rounds=1)
    assert [figures[0]["rows"] for figures in found.values()] == [300, 300]
    assert all(figures[0]["peak memory, MiB"] > 20 for figures in found.values())
    reading.tell("collection", found)
    assert "new / old" in capsys.readouterr().out
