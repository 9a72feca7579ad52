"""What is known of a first stage that was made here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stages.core.metrics import MadePart

FEW_STOP_WORDS, WORDS_THAT_TELL = 0.1, 1000


@dataclass(frozen=True, slots=True)
class MadeFirstStage:
    """BM25 by `version` of bm25s over so many `documents`, of which `without_words` have no word and `repeated` the id
    of an earlier one. Of the `queries` asked, which are the judged ones, `nothing_found` had no document with a word of
    theirs; `first_of_them` is one. `top` documents a query were looked for at most. `stop_share` of the words
    are stop words; None where there are too few to tell. `kept` is where the index is, `how` it came there.
    """

    version: str
    method: str
    k1: float
    b: float
    language: str | None
    top: int
    documents: int
    without_words: int
    repeated: int
    queries: int
    nothing_found: int
    first_of_them: str | None
    stop_share: float | None
    kept: str
    how: str

    def __str__(self) -> str:
        told = self.language or "words as they are"
        return f"BM25 (made here: bm25s {self.version}, {self.method}, k1={self.k1:g}, b={self.b:g}, {told})"

    def part(self) -> MadePart:
        """Its part of metrics.json."""
        return {
            "words": str(self),
            "bm25s": self.version,
            "method": self.method,
            "k1": self.k1,
            "b": self.b,
            "language": self.language,
            "top": self.top,
            "documents": self.documents,
            "documents_without_words": self.without_words,
            "queries": self.queries,
            "queries_without_candidates": self.nothing_found,
        }

    def index(self) -> str:
        """Where its index is, for the terminal."""
        return f"index of {self.documents:,} documents, {self.how}, kept in {self.kept}"

    def remarks(self) -> Iterator[str]:
        """What a reader of the values must know, a sentence each without its full stop."""
        if self.nothing_found:
            yield (
                f"BM25 found nothing for {self.nothing_found:,} of {self.queries:,} queries, such as "
                f"{self.first_of_them!r:.60}: no document has a word of theirs that is no stop word, and they "
                "have no candidates"
            )
        if self.without_words:
            yield f"{self.without_words:,} of {self.documents:,} documents have no word, and BM25 never finds them"
        if self.stop_share is not None and self.stop_share < FEW_STOP_WORDS:
            yield (
                f"only {self.stop_share:.1%} of the words are stop words of {self.language}: if the texts are in "
                "another language, set data.bm25.language"
            )
