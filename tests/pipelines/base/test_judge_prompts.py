"""The prompts that come along are found by name, and a user's own by its path."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.base.bundled import bundled
from pipelines.base.judge_prompts import judge_prompt, read_prompt
from stages.core.errors import ConfigError

GRADED = bundled("configs/judges/graded.yaml").read_text("utf-8")


def test_those_that_come_along_can_be_read_and_one_of_them_is_answered_by_one_token() -> None:
    names = [file.stem for file in bundled("configs/judges").glob("*.yaml")]
    found = {name: judge_prompt(name) for name in names}
    assert {name for name, prompt in found.items() if prompt.prefills} == {"graded"}
    assert {"graded", "reasoned"} <= set(found) and len({one.digest for one in found.values()}) == len(found)


def test_a_prompt_of_ones_own_is_named_by_its_path_and_told_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(GRADED, encoding="utf-8")
    own = judge_prompt(str(tmp_path / "mine.yaml"))
    assert own.name == "mine" and own.digest == judge_prompt("graded").digest
    (tmp_path / "mine.yaml").write_text(GRADED.replace("Useful", "Helpful"), encoding="utf-8")
    assert read_prompt(tmp_path / "mine.yaml").digest != own.digest


def test_a_name_that_there_is_not_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"judge.prompt grade: there is none of this name; did you mean graded\?"):
        judge_prompt("grade")


@pytest.mark.parametrize(("text", "message"), [("a: [", "not YAML"), (GRADED + "ending: x\n", "ending is given twice")])
def test_what_is_no_yaml_or_gives_a_key_twice_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        judge_prompt(str(tmp_path / "mine.yaml"))
    with pytest.raises(ConfigError, match="cannot be read"):
        judge_prompt(str(tmp_path / "none.yaml"))
