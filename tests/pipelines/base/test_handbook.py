"""`rerank-eval handbook` prints the book."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.base.handbook import read_handbook
from pipelines.cli.app import main
from stages.core.errors import ConfigError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("language", "name"), [("en", "HANDBOOK.md"), ("zh", "HANDBOOK.zh.md")])
def test_it_prints_the_book_as_it_is(language: str, name: str, capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["handbook", "--lang", language])
    assert ended.value.code == 0
    assert capsys.readouterr().out == (ROOT / name).read_text(encoding="utf-8")


def test_a_language_that_it_is_not_in_is_refused_with_the_choices() -> None:
    with pytest.raises(ConfigError, match="en, zh"):
        read_handbook("fr")
