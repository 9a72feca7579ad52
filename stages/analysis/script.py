"""The script a text is written in, as far as that tells its language: a column to look at where the data has none."""

from __future__ import annotations

import unicodedata
from collections import Counter

NO_SCRIPT = "none"

_CHARACTERS_READ = 1000
# The first word of a letter's Unicode name -> what readers call its script; others keep that word.
_NAMES = {"CJK": "Han", "HIRAGANA": "Japanese", "KATAKANA": "Japanese", "FULLWIDTH": "Latin"}


def script_of(text: str) -> str:
    """`Latin`, `Han`, `Japanese`, `Arabic` ...: that of most letters; NO_SCRIPT where there are none.

    Any kana make a text Japanese, whose other letters mostly are Han's.
    """
    letters = [character for character in text[:_CHARACTERS_READ] if character.isalpha()]
    if not letters:
        return NO_SCRIPT
    if text.isascii():
        return "Latin"
    counts = Counter(_script(letter) for letter in letters)
    if counts["Japanese"]:
        counts["Japanese"] += counts.pop("Han", 0)
    return max(sorted(counts), key=counts.__getitem__)


def _script(letter: str) -> str:
    word = unicodedata.name(letter, NO_SCRIPT).split(" ")[0].split("-")[0]
    return _NAMES.get(word, word.capitalize())
