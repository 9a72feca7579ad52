"""Texts -> the words that BM25 counts.

Texts are in Unicode's form NFKC and lower case. A word is a stretch of letters, digits and the marks upon them. Where a
script has no blanks between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese), and in Korean, whose blanks part
phrases, each two neighbouring characters are a word, as in Lucene's CJKAnalyzer; a character alone is one by itself.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import groupby

# Thai, Lao, Burmese, Hangul jamo, Khmer, 々〆〇, kana, bopomofo, Han, Hangul.
PAIRED = (
    r"\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ecd\u0edc-\u0edf\u1000-\u103f\u1050-\u109d\u1100-\u11ff\u1780-\u17d3\u3005-\u3007"
    r"\u3041-\u3096\u3099\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u3131-\u318f\u31a0-\u31bf\u31f0-\u31ff"
    r"\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff"
)
PLANES = 0x20000  # the two that have words of letters and marks
_WORD = re.compile(r"\w+")


def words(text: str) -> list[str]:
    """The words of a text, in order."""
    if text.isascii():
        return _WORD.findall(text.lower())
    found: list[str] = []
    for match in _pattern().finditer(unicodedata.normalize("NFKC", text).lower()):
        run = match[0]
        if match.lastindex:
            found.extend([run[place : place + 2] for place in range(len(run) - 1)] or [run])
        else:
            found.append(run)
    return found


@cache
def _pattern() -> re.Pattern[str]:
    """A run of paired characters (group 1), or a word of others. `\\w` knows no marks, which Indic vowels are."""
    letter = rf"[^\W{PAIRED}]"
    return re.compile(rf"([{PAIRED}]+)|{letter}(?:{letter}|[{_marks()}])*")


def _marks() -> str:
    """The characters of Unicode's categories M, as the inside of a character class."""
    paired = re.compile(f"[{PAIRED}]")
    marks = (
        code for code in range(PLANES) if unicodedata.category(chr(code))[0] == "M" and not paired.match(chr(code))
    )
    runs = (list(run) for _, run in groupby(enumerate(marks), lambda one: one[1] - one[0]))
    return "".join(f"\\U{run[0][1]:08x}-\\U{run[-1][1]:08x}" for run in runs)
