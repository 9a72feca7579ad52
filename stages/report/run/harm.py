"""What reranking changed in the first places, what it pushed out and brought up, and whether it is a useless one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stages.core.words import count, percent, share
from stages.report.document import Block, Cell, Column, Section, Table, Text

TITLE = "What changed, and what was pushed out?"


def first_told(analysis: Mapping[str, Any]) -> Iterator[Text]:
    """What stands before any value: a useless reranker is named, and how many lists changed at all is said. Nothing of
    runs of before that was told.
    """
    useless, changes = analysis.get("useless") or {}, analysis.get("changes")
    if useless.get("name"):
        level = percent(useless["level"])
        yield Text(
            f"This reranker tells nothing new: {useless['words']}. Of rerankers that do something no more than {level} "
            "are named so.",
            "bad",
        )
    elif useless.get("words"):
        yield Text(f"Mind: {useless['words']}.", "unsure")
    if changes:
        decided = next(one for one in changes["at"] if one["k"] == changes["top"])
        yield Text(changes["words"], "plain" if decided["sets"] else "unsure")


def harm_section(analysis: Mapping[str, Any]) -> Section | None:
    """None where there was no first stage's order, or no list."""
    changes, harm = analysis.get("changes"), analysis.get("harm")
    if not changes or not changes["lists"]:
        return None
    blocks: list[Block] = [_changes(changes)]
    if not harm:
        blocks.append(Text("Without judgements that is all: not which change was for the better."))
    elif not harm["bands"]:
        blocks.append(Text("No relevant document is among the candidates, so none could be pushed out or brought up."))
    else:
        blocks += _harm(harm)
    return Section(TITLE, blocks)


def _changes(changes: Mapping[str, Any]) -> Table:
    columns = ["first places", "lists with other documents", "lists where that can be", "lists in another order"]
    lists = changes["lists"]
    rows = [
        [f"top {top['k']}", _of(top["sets"], lists), _of(top["could"], lists), _of(top["orders"], lists)]
        for top in changes["at"]
    ]
    return Table([Column(name, numeric=name != columns[0]) for name in columns], rows)


def _of(part: int, whole: int) -> str:
    return f"{count(part)} ({share(part / whole)})"


def _harm(harm: Mapping[str, Any]) -> Iterator[Block]:
    sure, top = percent(harm["confidence"]), harm["top"]
    graded = f" from grade {harm['level']} on" if harm["level"] > 1 else ""
    yield Text(
        f"Relevant documents{graded} of the judged queries, with {sure} intervals (Wilson's, by query: documents of "
        "one query go together). A right first document is lost where it no longer stands in these places, one is "
        "pushed out where it stood in them and no longer does, and brought up where it stood behind and now is in them."
    )
    columns = ["first places", "right first document lost", "pushed out", "brought up"]
    rows = [
        [f"top {one['k']}", _share(one["first_lost"]), _share(one["pushed_out"]), _share(one["rescued"])]
        for one in harm["at"]
    ]
    yield Table([Column(name, numeric=name != columns[0]) for name in columns], rows)
    yield Text(f"The same by where the first stage had them; the last column says how many crossed rank {top}.")
    columns = ["rank before", "relevant", "went up", "stayed", "went down", f"left or came to the top {top}"]
    yield Table([Column(name, numeric=name != columns[0]) for name in columns], list(map(_band, harm["bands"])))


def _share(one: Mapping[str, Any]) -> str:
    """`12.3% (8.1% to 17.9%), 24 of 195`."""
    if not one["whole"]:
        return "none there"
    low, high = one["interval"]
    return f"{share(one['share'])} ({share(low)} to {share(high)}), {count(one['part'])} of {count(one['whole'])}"


def _band(band: Mapping[str, Any]) -> list[Cell | str]:
    crossed, relevant = band["crossed"], band["crossed"]["whole"]
    ranks = str(band["low"]) if band["low"] == band["high"] else f"{band['low']}-{band['high']}"
    way = "left" if band["inside"] else "came"
    return [
        ranks,
        count(relevant),
        count(band["up"]),
        count(relevant - band["up"] - band["down"]),
        count(band["down"]),
        f"{way}: {_share(crossed)}",
    ]
