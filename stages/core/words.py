"""Numbers and names as people read them, and the tone in which they are said."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from itertools import accumulate
from typing import Any, Literal
from unicodedata import east_asian_width

NONE = "–"
Tone = Literal["plain", "good", "bad", "unsure"]


def nearest(name: str, known: Iterable[str]) -> str:
    """The name among `known`, of which there is one at least, that somebody who wrote `name` most likely meant."""
    return get_close_matches(name, known, n=1, cutoff=0.0)[0]


def did_you_mean(name: str, known: Collection[str]) -> str:
    """The end of a message about an unknown name; nothing where nothing is known."""
    return f"; did you mean {nearest(name, known)}? Known: {', '.join(known)}" if known else ""


def written_name(key: str) -> str:
    """`ndcg_at_10` as people write it: `ndcg@10`, and `@tokens=2000` for `_at_tokens_2000`."""
    return key.replace("_at_tokens_", "@tokens=").replace("_at_", "@")


def key_name(name: str) -> str:
    """`ndcg@10` as metrics.json and MLflow, which forbids `@` and `=`, have it: `ndcg_at_10`."""
    return name.replace("@tokens=", "_at_tokens_").replace("@", "_at_")


def number(value: float | None, unit: str = "") -> str:
    """Two to four digits that tell, with the unit after it: what is small is not told as 0."""
    if value is None:
        return NONE
    if abs(value) < 0.01:
        return f"{value:.2g}{unit}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}{unit}"


def count(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def share(value: float | None, digits: int = 1) -> str:
    return NONE if value is None else f"{value:.{digits}%}"


def percent(value: float) -> str:
    """`95 %`, `99.5 %`: a level or a confidence, with every digit that it was given with."""
    return f"{100 * value:g} %"


def metric_value(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}"


def signed(value: float | None) -> str:
    return NONE if value is None else f"{value:+.4f}"


def interval(ends: Any) -> str:
    """`-0.043 to +0.026`; what is not known is a dash."""
    return NONE if not ends else f"{ends[0]:+.4f} to {ends[1]:+.4f}"


def p_value(p: float | None) -> str:
    if p is None:
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def tone_of(told: Mapping[str, Any]) -> Tone:
    """Good or bad where the corrected p says that there is a difference, else plain."""
    if not is_significant(told):
        return "plain"
    return "good" if told["difference"] > 0 else "bad"


def is_significant(told: Mapping[str, Any]) -> bool:
    return bool(told["corrected_p"] < 1 - told["confidence"])


def wins_ties_losses(told: Mapping[str, Any]) -> str:
    """Wins, ties and losses, in this order."""
    return f"{told['wins']:,} / {told['ties']:,} / {told['losses']:,}"


def shortened(name: str, most: int) -> str:
    """As many letters as have room in `most` places; Chinese, Japanese and Korean ones take two."""
    widths = accumulate(2 if east_asian_width(letter) in "WF" else 1 for letter in name)
    fitting = sum(width <= most for width in widths)
    return name if fitting == len(name) else f"{name[: fitting - 1]}…"


def slug(text: str) -> str:
    """The text as a part of a name: ASCII letters and digits in lower case, hyphens between them; empty without any."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def distinct(text: str, shown: str) -> str:
    """`shown`, what a name takes of the text; with 8 hex digits of the whole text behind it where something is lost, so
    that two texts never have one name.
    """
    if shown == text:
        return shown
    return f"{shown}-{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}".lstrip("-")


def first_up(sentence: str) -> str:
    """With a capital at its start, unless it starts with a metric's name."""
    return sentence if "@" in sentence.split(" ", maxsplit=1)[0] else sentence[:1].upper() + sentence[1:]


def counted(number: int, one: str, several: str | None = None) -> str:
    """`1 query`, `2,000 queries`. `several` is by default `one` with an s."""
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
