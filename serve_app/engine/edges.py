"""Places in a text across which little reaches when it is tokenized: a letter, one separator (a blank, a newline, a
punctuation mark) and a letter again.

Letters and separators are those that have stood in Unicode from its beginning and compose with no neighbour, so that no
two libraries disagree about them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

# Latin, Greek, Cyrillic, Hebrew, Arabic, Devanagari, Thai, kana, Chinese characters, Hangul.
LETTERS = "A-Za-zÀ-ÖØ-öø-ÿα-ωа-яא-תا-يक-हก-ฮぁ-ゖァ-ヺ一-龥가-힣"
# Without the quotation marks and the underscore, which words hold or tokenizers rewrite.
SEPARATORS = ' \n!"#$%&()*+,-./:;<=>?@[\\]^{|}~、。，！？；：'
# A search holds Python's lock: it looks at so many characters at a time.
SEARCH_CHARS = 500_000


class Edges:
    """Those with one of these separators."""

    def __init__(self, separators: str) -> None:
        self._edge = re.compile(f"[{LETTERS}](?=[{re.escape(separators)}][{LETTERS}])")

    def after(self, text: str, start: int) -> Iterator[int]:
        """The places of their first letters."""
        for place in range(start, len(text), SEARCH_CHARS):
            for edge in self._edge.finditer(text, place, place + SEARCH_CHARS + 2):
                yield edge.start()
