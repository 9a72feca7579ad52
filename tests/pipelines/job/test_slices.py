"""`evaluate.slices`: read strictly, found among a run's candidates, and refused where they group nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipelines.base.sections import EvaluateSettings
from pipelines.job.slices import grouped, slicings
from pipelines.runs.folder import RunFolder
from pipelines.verdict.slices import check_slices_there
from stages.core.errors import ConfigError, DataError
from stages.core.records import Candidates
from stages.files.tables import write_candidates


def settings(**slices: Any) -> EvaluateSettings:
    return EvaluateSettings(slices=slices)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "run")
    made.path.mkdir()
    queries = [("1", "red apple", "en"), ("2", "红苹果", "zh"), ("3", "one two three", "en")]
    write_candidates(
        [Candidates(one, text, ("d",), ("text",), (1.0,), attributes={"language": of}) for one, text, of in queries],
        made.candidates,
    )
    return made


def test_groups_are_found_among_the_candidates(folder: RunFolder, tmp_path: Path) -> None:
    listed = tmp_path / "hard.txt"
    listed.write_text("\ufeff3\n\n 9 \ntypo\n", encoding="utf-8")
    asked = settings(language={"field": "language"}, length={"words": [2]}, hard={"ids": str(listed)})
    assert grouped(folder, asked.slices, ["9"]) == {
        "language": {"1": "en", "3": "en", "2": "zh"},
        "length": {"1": "1-2 words", "2": "3+ words", "3": "3+ words"},
        "hard": {"3": "listed", "9": "listed"},
    }
    assert grouped(folder, {}, ["9"]) == {}


@pytest.mark.parametrize(
    ("slices", "told"),
    [
        ({"a": {}}, "give one of field, words, characters and ids, as in"),
        ({"a": {"field": "x", "words": [3]}}, "give one of field, words, characters and ids, not 2"),
        ({"a": {"words": [3, 3]}}, "lengths are whole numbers from 1 on that rise"),
        ({"a": {"words": [3], "values": ["b"]}}, "values are those of a field"),
        ({"a=b": {"field": "x"}}, "'a=b' is no name of slices"),
    ],
)
def test_slices_that_say_nothing_are_refused_as_the_config_is_read(slices: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        EvaluateSettings(slices=slices)


def test_a_list_of_ids_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"evaluate\.slices\.hard: .*gone\.txt cannot be read"):
        slicings(settings(hard={"ids": str(tmp_path / "gone.txt")}).slices)
    (tmp_path / "empty.txt").write_text("\n \n", encoding="utf-8")
    with pytest.raises(ConfigError, match="holds no id"):
        slicings(settings(hard={"ids": str(tmp_path / "empty.txt")}).slices)


def test_a_gate_may_name_a_group_of_the_users(folder: RunFolder) -> None:
    own = grouped(folder, settings(length={"words": [2]}).slices, [])
    check_slices_there(folder, {"length": ["3+ words"], "language": ["zh"]}, own)
    with pytest.raises(DataError, match=r"gate\.slices length: no query has the value '4\+ words'"):
        check_slices_there(folder, {"length": ["4+ words"]}, own)
