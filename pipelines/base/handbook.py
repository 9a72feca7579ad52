"""`rerank-eval handbook`: HANDBOOK.md, from the repository or from where a wheel puts it."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from stages.core.errors import ConfigError, DataError

BOOKS = {"en": "HANDBOOK.md", "zh": "HANDBOOK.zh.md"}
# As pyproject.toml's data-files says.
INSTALLED = "share/rerank-eval"


def read_handbook(language: str) -> str:
    """The book as Markdown. Raises ConfigError for a language that it is not in."""
    if language not in BOOKS:
        raise ConfigError(f"--lang {language}: choose from {', '.join(BOOKS)}")
    name = BOOKS[language]
    places = [Path(__file__).parents[2] / name, Path(sysconfig.get_path("data"), INSTALLED, name)]
    for place in places:
        if place.is_file():
            return place.read_text(encoding="utf-8")
    raise DataError(
        f"{name} is in none of {', '.join(str(place.parent) for place in places)}: install rerank-eval again"
    )
