"""`rerank-eval handbook`: HANDBOOK.md as it came with the packages."""

from __future__ import annotations

from pipelines.base.bundled import bundled
from stages.core.errors import ConfigError

BOOKS = {"en": "HANDBOOK.md", "zh": "HANDBOOK.zh.md"}


def read_handbook(language: str) -> str:
    """The book as Markdown. Raises ConfigError for a language that it is not in."""
    if language not in BOOKS:
        raise ConfigError(f"--lang {language}: choose from {', '.join(BOOKS)}")
    return bundled(BOOKS[language]).read_text(encoding="utf-8")
