"""What each of several runs changed and pushed out, beside each other, and which of them are useless."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stages.core.words import NONE, count, share
from stages.report.document import Column, Section, Table, Text

TITLE = "What does each change, and what does it push out?"


def named_useless(harms: Mapping[str, Mapping[str, Any]]) -> Iterator[Text]:
    """A sentence for each run whose reranker tells nothing."""
    for label, told in harms.items():
        if (useless := told.get("useless") or {}).get("name"):
            yield Text(f"Mind: {label}: {useless['words']}.", "bad")


def beside_harms(harms: Mapping[str, Mapping[str, Any]]) -> Iterator[Section]:
    """Nothing where no run tells it, as those of before it was told. Each run is held against its own first stage, over
    all its own queries, at the places that its own deciding metric looks at.
    """
    rows = [_row(label, told) for label, told in harms.items() if told.get("changes")]
    if not rows:
        return
    columns = [
        "run",
        "first places",
        "lists with other documents",
        "in another order",
        "right first document lost",
        "relevant pushed out",
        "relevant brought up",
    ]
    yield Section(
        TITLE,
        [
            Table([Column(name, numeric=name != "run") for name in columns], rows),
            Text(
                "Each against its own first stage. A right first document is lost where it no longer stands first; "
                "others are pushed out of these places, or brought up to them. In brackets the interval."
            ),
        ],
    )


def _row(label: str, told: Mapping[str, Any]) -> list[str]:
    changes, harm = told["changes"], told.get("harm")
    top = next(one for one in changes["at"] if one["k"] == changes["top"])
    lists = changes["lists"]
    cells = [label, str(changes["top"]), _of(top["sets"], lists), _of(top["orders"], lists)]
    if not harm:
        return [*cells, NONE, NONE, NONE]
    at = next(one for one in harm["at"] if one["k"] == harm["top"])
    return [*cells, *map(_share, (harm["at"][0]["first_lost"], at["pushed_out"], at["rescued"]))]


def _of(part: int, whole: int) -> str:
    return f"{count(part)} of {count(whole)}"


def _share(one: Mapping[str, Any]) -> str:
    if one["share"] is None:
        return NONE
    low, high = one["interval"]
    return f"{share(one['share'])} ({share(low)} to {share(high)})"
