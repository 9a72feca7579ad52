"""CONTRIBUTING.md shows the rooms that there are, on their floors and in their own words; what it has run exists."""

from __future__ import annotations

import importlib
import re
import shlex
import tomllib

import pytest

from tests.shown_texts import ROOT, ShownText

TEXT = ShownText("CONTRIBUTING.md")
ROW = re.compile(r"^\| \d+ \| `\w+` \| .* \|$", re.MULTILINE)


def rooms(package: str) -> list[str]:
    """A row for each room, from the lowest floor up; floors are import-linter's layers, words the room's own."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = [contract["layers"] for contract in contracts if contract.get("containers") == [package]]
    floors = [[name for name in layer.split(" | ") if (ROOT / package / name).is_dir()] for layer in reversed(layers)]
    return [
        f"| {floor} | `{room}` | {words_of(f'{package}.{room}')} |"
        for floor, names in enumerate(filter(None, floors), 1)
        for room in names
    ]


def words_of(room: str) -> str:
    """The first paragraph of its docstring, on one line."""
    return " ".join((importlib.import_module(room).__doc__ or "").split("\n\n", maxsplit=1)[0].split())


@pytest.mark.parametrize("package", ["stages", "serve_app", "pipelines"])
def test_the_rooms_of_a_package_are_those_of_import_linter_in_the_words_of_their_docstrings(package: str) -> None:
    (table,) = re.findall(rf"^`{package}/`.*?\n\n(\|.*?)\n\n", TEXT.text, re.MULTILINE | re.DOTALL)
    expected = rooms(package)
    assert ROW.findall(table) == expected, "\n".join(["it should be:", *expected])


def test_every_target_of_make_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:`|\$ |&& )make ([a-z-]+)", TEXT.text))
    assert {"test", "check", "demo", "lock"} <= named
    assert named - targets == set()


def test_what_is_tested_in_seconds_are_tests_that_there_are() -> None:
    lines = re.findall(r"^\$ \.venv/bin/python -m pytest (.*)$", TEXT.text, re.MULTILINE)
    assert len(lines) >= 3
    for line in lines:
        paths = [word for word in shlex.split(line) if word.startswith("tests/")]
        assert paths
        assert [path for path in paths if not (ROOT / path).exists()] == []
