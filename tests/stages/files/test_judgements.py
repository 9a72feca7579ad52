"""Judgements are read back as they were written, those of a query without any document too."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from stages.core.records import Judgements
from stages.files.judgements import read_judgements, write_judgements

IDS = st.text(st.characters(codec="utf-8"), max_size=4)


@given(st.dictionaries(IDS, st.dictionaries(IDS, st.integers(-3, 2**40), max_size=4), max_size=4))
def test_judgements_are_read_back_whatever_the_ids_and_grades(grades: dict[str, dict[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "judgements.parquet")
        write_judgements(Judgements(grades), file)
        found = read_judgements(file)
    assert found.grades == grades
    assert found.digest == Judgements(grades).digest


def test_what_answers_judged_is_read_back_as_that(tmp_path: Path) -> None:
    file, judged = tmp_path / "judgements.parquet", Judgements({"q": {"d": 1}}, "answers", "tokens")
    write_judgements(judged, file)
    assert read_judgements(file) == judged
    assert read_judgements(file).digest == judged.digest


def test_who_judged_is_read_back(tmp_path: Path) -> None:
    judged = Judgements(
        {"q1": {"d1": 3, "d2": 0}, "q2": {"d1": 1}},
        judge="tiny@0123456789ab",
        by_model={"q1": {"d1": 1}, "q2": {"d1": 1}},
        by_people={"q1": {"d1": 3, "d2": 0}},
    )
    write_judgements(judged, file := tmp_path / "judgements.parquet")
    assert read_judgements(file) == judged
    assert read_judgements(file).digest == judged.digest
