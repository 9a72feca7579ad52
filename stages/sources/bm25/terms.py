"""Words -> the terms of an index, numbered: stop words are none, and words of one stem are one."""

from __future__ import annotations

from collections.abc import Callable

from stages.sources.bm25.words import words

# Of the languages of PyStemmer those whose stop words bm25s has.
STOPWORDS = {
    "english": "STOPWORDS_EN",
    "porter": "STOPWORDS_EN",
    "german": "STOPWORDS_GERMAN",
    "dutch": "STOPWORDS_DUTCH",
    "french": "STOPWORDS_FRENCH",
    "spanish": "STOPWORDS_SPANISH",
    "portuguese": "STOPWORDS_PORTUGUESE",
    "italian": "STOPWORDS_ITALIAN",
    "russian": "STOPWORDS_RUSSIAN",
    "swedish": "STOPWORDS_SWEDISH",
    "norwegian": "STOPWORDS_NORWEGIAN",
    "turkish": "STOPWORDS_TURKISH",
}
STOP = -1


class Terms:
    """What becomes of each word in a language; None: nothing."""

    def __init__(self, language: str | None) -> None:
        self._stop: frozenset[str] = frozenset()
        self._stem: Callable[[str], str] = str
        if language is not None:
            import Stemmer

            self._stem = Stemmer.Stemmer(language).stemWord
            self._stop = _stopwords(language)

    def of(self, text: str) -> list[str]:
        """The terms of a text, in order."""
        return [self._stem(word) for word in words(text) if word not in self._stop]

    def term(self, word: str) -> str | None:
        """None of a stop word."""
        return None if word in self._stop else self._stem(word)


class Vocabulary:
    """Terms numbered by first appearance. `plain_words` counts the words of texts in ASCII, `stopped` the stop words of
    these: what language they are in shows there.
    """

    def __init__(self, terms: Terms) -> None:
        self.numbers: dict[str, int] = {}
        self._known = _Known(terms, self.numbers)
        self.plain_words = self.stopped = 0

    def add(self, text: str) -> list[int]:
        """The numbers of the text's terms; new ones are added."""
        known = self._known
        numbers = [known[word] for word in words(text)]
        kept = [number for number in numbers if number >= 0]
        if text.isascii():
            self.plain_words += len(numbers)
            self.stopped += len(numbers) - len(kept)
        return kept


class _Known(dict[str, int]):
    """Word -> the number of its term, STOP of a stop word: each is stemmed once."""

    def __init__(self, terms: Terms, numbers: dict[str, int]) -> None:
        super().__init__()
        self._terms, self._numbers = terms, numbers

    def __missing__(self, word: str) -> int:
        term = self._terms.term(word)
        self[word] = number = STOP if term is None else self._numbers.setdefault(term, len(self._numbers))
        return number


def _stopwords(language: str) -> frozenset[str]:
    from bm25s import stopwords

    name = STOPWORDS.get(language)
    return frozenset(getattr(stopwords, name)) if name else frozenset()
