"""What nobody judged, as people read it: how much, what it could make of the values, and what they are without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from stages.core.words import NONE, count, metric_value, share, signed
from stages.report.document import Block, Column, Details, Table, Text


class OpenRow(NamedTuple):
    """A metric of two systems; `found` is `stages.quality.unjudged.Unjudged` as JSON has it, with its `share`."""

    name: str
    metric: str
    found: Mapping[str, Any]


def unjudged_blocks(rows: Sequence[OpenRow], first: str, second: str) -> list[Block]:
    """Nothing where all that counts is judged; folded where the qrels name relevant documents alone, as then it is so
    in every run.
    """
    rows = [row for row in rows if row.found["documents"]]
    if not rows:
        return []
    names = ["run"] if any(row.name for row in rows) else []
    columns = ["metric", "judged, both", f"{first} between", f"{second} between", "change between"]
    table = Table(
        [Column(one, numeric=one not in ("run", "metric")) for one in (*names, *columns, "change, condensed")],
        [[*([row.name] if names else []), *_row(row)] for row in rows],
    )
    told = Text(_explained(rows[0].found))
    if rows[0].found["relevant_only"]:
        return [Details(f"What is not judged: {_open_share(rows[0].found)}", [told, table])]
    return [told, table]


def unjudged_line(metric: str, found: Mapping[str, Any]) -> str | None:
    """For the terminal; None where all that counts is judged."""
    if not found["documents"]:
        return None
    judged = f"{share(1 - found['share'])} of {_where(found)}"
    if found["relevant_only"]:
        return f"{judged}; the rest counts as not relevant, as the qrels name relevant documents alone"
    difference = found["difference"]
    bounds = "" if difference["low"] is None else f"{_between(difference, signed)} whatever grades the rest has, "
    return f"{judged}; {metric} changes by {bounds}{signed(difference['condensed'])} without it (condensed lists)"


def _row(row: OpenRow) -> list[str]:
    found = row.found
    return [
        row.metric,
        f"{share(found['first']['judged'])} / {share(found['second']['judged'])}",
        _between(found["first"], metric_value),
        _between(found["second"], metric_value),
        _between(found["difference"], signed),
        signed(found["difference"]["condensed"]),
    ]


def _between(side: Mapping[str, Any], written: Any) -> str:
    return NONE if side["low"] is None else f"{written(side['low'])} to {written(side['high'])}"


def _explained(found: Mapping[str, Any]) -> str:
    why = (
        " The qrels name relevant documents alone, so most of these may be known not to be."
        if found["relevant_only"]
        else ""
    )
    return (
        f"Not judged are {_open_share(found)}: {count(found['documents'])} documents, which count as not relevant.{why}"
        f" Whatever grades from 0 to {found['highest']} they had, the same in both lists, values and change would lie "
        "between these bounds. Condensed lists leave them out, and what stands below moves up (Sakai 2007)."
    )


def _open_share(found: Mapping[str, Any]) -> str:
    return f"{share(found['share'])} of {_where(found)}"


def _where(found: Mapping[str, Any]) -> str:
    return f"the top {found['cutoff']}" if found["cutoff"] else "the lists"


def doubts(found: Mapping[str, Any] | None) -> bool:
    """Whether documents that nobody judged could turn a tested difference round. Qrels that name relevant documents
    alone cast no such doubt: that the rest is not relevant is how they are meant.
    """
    if found is None or found["relevant_only"] or found["difference"]["low"] is None:
        return False
    low, high = found["difference"]["low"], found["difference"]["high"]
    return bool(low <= 0 <= high)
