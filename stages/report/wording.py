"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stages.report.document import Cell, Tone

NONE = "–"


def written_name(key: str) -> str:
    """`ndcg_at_10` as people write it: `ndcg@10`."""
    return key.replace("_at_", "@")


def number(value: float | None, unit: str = "") -> str:
    """Three or four digits that tell, with the unit after it."""
    if value is None:
        return NONE
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}{unit}"


def count(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def share(value: float | None, digits: int = 1) -> str:
    return NONE if value is None else f"{value:.{digits}%}"


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


def change(told: Mapping[str, Any]) -> Cell:
    """A difference in the tone of what it means: only what is told apart from chance is good or bad."""
    value = told["difference"]
    return Cell(signed(value), tone_of(told))


def tone_of(told: Mapping[str, Any]) -> Tone:
    """Good or bad where the corrected p says that there is a difference, else plain."""
    if not is_significant(told):
        return "plain"
    return "good" if told["difference"] > 0 else "bad"


def is_significant(told: Mapping[str, Any]) -> bool:
    return bool(told["corrected_p"] < 1 - told["confidence"])


def outcomes(told: Mapping[str, Any]) -> str:
    """Wins, ties and losses, in this order."""
    return f"{told['wins']:,} / {told['ties']:,} / {told['losses']:,}"


def first_up(sentence: str) -> str:
    """With a capital at its start, unless it starts with a metric's name."""
    return sentence if "@" in sentence.split(" ", maxsplit=1)[0] else sentence[:1].upper() + sentence[1:]
