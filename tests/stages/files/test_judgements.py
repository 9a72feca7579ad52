"""Judgements come back as they were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from stages.core.records import Judgements
from stages.files.judgements import read_judgements, write_judgements


def test_judgements_are_read_as_they_were_written(tmp_path: Path) -> None:
    given = Judgements({"q 1": {"a": 2, "b": -1}, "007": {"红": 0}})
    write_judgements(given, tmp_path / "judgements.parquet")
    assert read_judgements(tmp_path / "judgements.parquet") == given
    numbers = Judgements({"q": {"a": np.int64(3)}})  # type: ignore[dict-item]
    write_judgements(numbers, tmp_path / "judgements.parquet")
    assert read_judgements(tmp_path / "judgements.parquet") == Judgements({"q": {"a": 3}})


def test_without_judgements_there_is_no_file_and_none_is_read(tmp_path: Path) -> None:
    write_judgements(Judgements({}), tmp_path / "judgements.parquet")
    assert not (tmp_path / "judgements.parquet").exists()
    assert read_judgements(tmp_path / "judgements.parquet") is None
