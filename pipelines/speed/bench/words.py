"""Words that no language has, in the lengths and frequencies of one: tokenizing them is ordinary work."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

SEED = 20_250_605
WORDS = 20_000
ONSETS = [*"bcdfghjklmnprstvw", "st", "tr", "pl", "br", "gr", "sh", "ch"]
NUCLEI = ["a", "e", "i", "o", "u", "a", "e", "o", "ai", "ea", "ou"]
CODAS = ["", "", "", "n", "r", "s", "t", "l", "nd", "st"]


def draw_words(source: random.Random, number: int) -> Sequence[str]:
    """So many words, frequent and rare ones as in a language."""
    words, cumulated = _lexicon()
    return source.choices(words, cum_weights=cumulated, k=number)


def frequent_words(number: int) -> Sequence[str]:
    """The most frequent ones, the first of them first."""
    return _lexicon()[0][:number]


@cache
def _lexicon() -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Words, and their cumulated frequencies by Zipf's law: the r-th word occurs 1/r as often as the first."""
    source = random.Random(SEED)
    words: dict[str, None] = {}
    while len(words) < WORDS:
        # The more frequent a word the shorter it is, as in languages.
        syllables = 1 + min(3, int(source.expovariate(1.0) + len(words) / WORDS * 2))
        parts = (source.choice(ONSETS) + source.choice(NUCLEI) + source.choice(CODAS) for _ in range(syllables))
        words["".join(parts)] = None
    total, cumulated = 0.0, []
    for rank in range(1, WORDS + 1):
        total += 1 / rank
        cumulated.append(total)
    return tuple(words), tuple(cumulated)
