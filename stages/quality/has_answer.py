"""Does a text contain an answer? As DPR's `has_answer` asks it (Karpukhin et al., Dense Passage Retrieval for
Open-Domain Question Answering, EMNLP 2020; facebookresearch/DPR, dpr/data/qa_validation.py), with what it lacks.

As there: a text is decomposed (NFD) and cut into tokens, each a run of letters, digits and marks, or one other
character that is neither blank nor control; case does not count; an answer is found where all its tokens stand in a
row. So "(New York)," contains "new york", "J.K. Rowling" is "J. K. Rowling", and "art" is not in "party".

Otherwise than there, each of which only finds more, but for the last two:

- Accents do not count: marks of Latin, Greek and Cyrillic, points of Arabic and Hebrew, and the stroke of đ, ł, ø.
  Vowel signs of Indic and South-East Asian scripts, and the voicing marks of kana, are no accents.
- Case is folded whole: ß is ss, final sigma a sigma, dotless i an i.
- Forms of one sign are one: apostrophes, quotation marks, hyphens and dashes, middle dots, full-width forms.
- In scripts that are written without blanks (Chinese, Japanese, Thai, Lao, Khmer, Burmese ...) each character with its
  marks is a token: there DPR's run of letters is a whole clause, in which no answer is ever found.
- An answer without a token is never found; DPR finds it in every text.
- An answer that a regular expression gives, and that is none, is refused; DPR never finds it.

With `regex` an answer is a pattern that is searched in the decomposed text, without regard to case, `^` and `$` at
lines; as there, but for accents, which are taken from both.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

import regex

from stages.core.errors import DataError

Match = Literal["tokens", "regex"]

# Those of which each character is a token, but for their digits. Kana's lengthening mark belongs to no script.
_SCRIPTS = "".join(
    rf"\p{{{script}}}"
    for script in (
        *("Han", "Hiragana", "Katakana", "Bopomofo", "Yi", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan"),
        *("Javanese", "Balinese", "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet"),
    )
)
_SIGN = rf"[[[{_SCRIPTS}ー]&&[\p{{L}}\p{{N}}]]--\p{{Nd}}]"
_TOKENS = regex.compile(rf"(?V1){_SIGN}\p{{M}}*|[[\p{{L}}\p{{N}}\p{{M}}]--{_SIGN}]+|[^\p{{Z}}\p{{C}}]")
_ACCENTS = regex.compile(
    # Latin, Greek and Cyrillic, without the strokes through a whole sign (≠ is not =); Hebrew; Arabic
    r"[\u0300-\u0333\u0339-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\ufe20-\ufe2f"
    r"\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4"
    r"\u06e7\u06e8\u06ea-\u06ed\u0640]+"  # and Arabic's lengthening line
)
_FORMS = str.maketrans(
    dict.fromkeys("’‘‛′＇", "'")
    | dict.fromkeys("“”„‟″«»＂", '"')
    | dict.fromkeys("‐‑‒–—―−﹣－", "-")
    | dict.fromkeys("•‧・･∙⋅", "·")
    | {"đ": "d", "Đ": "D", "ł": "l", "Ł": "L", "ø": "o", "Ø": "O"}
    | {chr(code + 0xFEE0): chr(code) for code in range(0x21, 0x7F) if chr(code) not in "'\"-"}
)
_BETWEEN = "\0"  # between tokens, none of which can hold it
# A pattern may take for ever; one text takes milliseconds.
_PATTERN_S = 5.0
_FLAGS = regex.IGNORECASE | regex.UNICODE | regex.MULTILINE


class Finder(Protocol):
    """Answers of one query, made ready to be looked for in many texts."""

    def is_in(self, text: str) -> bool:
        """Whether the text contains any of them."""
        ...


def finder_of(answers: Sequence[str], match: Match) -> Finder:
    """Raises ValueError, with what to tell, for an answer that can never be looked for."""
    return TokenFinder(answers) if match == "tokens" else PatternFinder(answers)


class TokenFinder:
    def __init__(self, answers: Iterable[str]) -> None:
        tokens = [tokens_of(answer) for answer in answers]
        if not all(tokens):
            raise ValueError("has neither a letter nor a sign")
        # The longest token is rare, and found in a text at the speed of memory: few texts are cut into tokens.
        self._wanted = [(max(one, key=len), _joined(one)) for one in tokens]

    def is_in(self, text: str) -> bool:
        folded = fold(text)
        near = [answer for longest, answer in self._wanted if longest in folded]
        if not near:
            return False
        joined = _joined(_TOKENS.findall(folded))
        return any(answer in joined for answer in near)


class PatternFinder:
    def __init__(self, answers: Iterable[str]) -> None:
        try:
            self._patterns = [regex.compile(_without_accents(answer), _FLAGS) for answer in answers]
        except regex.error as error:
            raise ValueError(f"is no regular expression ({error})") from error

    def is_in(self, text: str) -> bool:
        """Raises DataError where a pattern takes too long."""
        plain = _without_accents(text)
        try:
            return any(pattern.search(plain, timeout=_PATTERN_S) is not None for pattern in self._patterns)
        except TimeoutError as error:
            patterns = ", ".join(pattern.pattern for pattern in self._patterns)
            raise DataError(
                f"answers.match regex: {patterns:.80} takes more than {_PATTERN_S:g} s over one text. Write it without "
                "repetitions within repetitions"
            ) from error


def tokens_of(text: str) -> list[str]:
    """The tokens of a text, in the form in which they are compared."""
    return list(_TOKENS.findall(fold(text)))


def fold(text: str) -> str:
    """The text without case, accents and variants of signs."""
    if text.isascii():
        return text.lower()
    # Upper case first: folding alone leaves the dotless i what it is.
    return _without_accents(text).translate(_FORMS).upper().casefold()


def letters_of(text: str) -> int:
    """How many letters and digits it has."""
    return sum(character.isalnum() for character in text)


def _without_accents(text: str) -> str:
    return text if text.isascii() else str(_ACCENTS.sub("", unicodedata.normalize("NFD", text)))


def _joined(tokens: Iterable[str]) -> str:
    return f"{_BETWEEN}{_BETWEEN.join(tokens)}{_BETWEEN}"
