"""Texts of more characters than `serve.max_text_chars` are refused before anything reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stages.core.errors import TextTooLongError


@dataclass(frozen=True, slots=True)
class TextLimit:
    """How many characters (Unicode code points) a query with its instruction, or a document, may have."""

    max_chars: int

    def require_query(self, query: str, instruction: str | None) -> None:
        """Raises TextTooLongError."""
        if (chars := len(query) + len(instruction or "")) > self.max_chars:
            raise TextTooLongError(f"the query has {self._too_many(chars)}: shorten it, or raise the limit")

    def require(self, query: str, documents: Sequence[str], instruction: str | None) -> None:
        """Raises TextTooLongError for the first text that is too long; documents count from 0."""
        self.require_query(query, instruction)
        for index, document in enumerate(documents):
            if (fault := self.fault(document)) is not None:
                raise TextTooLongError(f"document {index}: {fault}")

    def fault(self, document: str) -> str | None:
        """Why a document is not scored; None where it may be."""
        if len(document) <= self.max_chars:
            return None
        return f"the text has {self._too_many(len(document))}: send a part of it, or raise the limit"

    def _too_many(self, chars: int) -> str:
        return f"{chars:,} characters, serve.max_text_chars allows {self.max_chars:,}"
