"""Where reranking helps: strata of the queries, and the queries that moved most."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from stages.core.words import count, metric_value, number, percent, signed
from stages.report import figures
from stages.report.document import Block, Cell, Column, Details, Figure, Section, Table, Text
from stages.report.slices import of_run, slices_blocks

MOVERS_SHOWN = 3  # the others are one fold deeper


def where_section(analysis: Mapping[str, Any], metric: str | None) -> Section | None:
    if metric is None:
        return None
    rows = of_run(analysis.get("slices") or [], analysis["metrics"])
    slices = slices_blocks(rows, metric, "first stage", "reranked")
    blocks: list[Block] = [*slices, *_strata(analysis, metric), *_movers(analysis, metric)]
    return Section("Where does it help, and where not?", blocks) if blocks else None


def _strata(analysis: Mapping[str, Any], metric: str) -> Iterator[Block]:
    groups = [(column, list(rows)) for column, rows in groupby(analysis.get("strata") or [], lambda row: row["column"])]
    telling = [(column, rows) for column, rows in groups if len(rows) > 1]
    if not telling:
        return
    shown = [row for _, rows in telling for row in rows]
    yield Figure(
        "strata",
        f"Change of {metric} by groups of queries",
        lambda: figures.forest([_forest_row(row) for row in shown], f"change of {metric}"),
        f"The change in each group of queries{_interval_in_words(shown, analysis, metric)}, and the number of queries. "
        "Many groups are looked at: one that stands out alone may do so by chance.",
    )
    columns = ["queries by", "group", "queries", "first stage", "reranked", "change", "gained / same / lost"]
    rows = [_stratum_row(row, first=place == 0) for _, of_column in telling for place, row in enumerate(of_column)]
    table = Table([Column(name, numeric=name not in columns[:2]) for name in columns], rows)
    yield Details("The same as a table", [table])


def _interval_in_words(shown: Iterable[Mapping[str, Any]], analysis: Mapping[str, Any], metric: str) -> str:
    """Nothing where no group has one, as in runs of before they were kept."""
    if not any(row.get("interval") for row in shown):
        return ""
    return f" with its {percent(analysis['significance'][metric]['confidence'])} interval"


def _forest_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Strata are not tested, there are too many of them."""
    low, high = row.get("interval") or (None, None)
    return {
        "group": row["column"].partition(" (")[0],
        "name": row["group"],
        "difference": row["difference"],
        "low": low,
        "high": high,
        "n": count(row["queries"]),
    }


def _stratum_row(row: Mapping[str, Any], *, first: bool) -> list[str]:
    return [
        row["column"] if first else "",
        row["group"],
        count(row["queries"]),
        metric_value(row["first_stage"]),
        metric_value(row["reranked"]),
        signed(row["difference"]),
        f"{row['wins']:,} / {row['ties']:,} / {row['losses']:,}",
    ]


def _movers(analysis: Mapping[str, Any], metric: str) -> Iterator[Block]:
    movers = analysis.get("movers") or {}
    for side, told in (("won", "gained most"), ("lost", "lost most")):
        found: Sequence[Mapping[str, Any]] = movers.get(side) or []
        if found:
            withheld = "" if found[0]["query"] is not None else " Ids stand for their texts (output.texts: false)."
            yield Text(f"The queries that {told} {metric}, with the documents that moved:{withheld}")
            yield from map(_mover, found[:MOVERS_SHOWN])
        if rest := found[MOVERS_SHOWN:]:
            yield Details(f"{len(rest)} more", [_mover(one) for one in rest])


def _mover(mover: Mapping[str, Any]) -> Details:
    title = f"{signed(mover['reranked'] - mover['first_stage'])}  {mover['query'] or mover['query_id']}"
    columns = [Column("rank"), Column("grade"), Column("score"), Column("document", numeric=False)]
    rows = list(_documents(mover["documents"]))
    before, after = metric_value(mover["first_stage"]), metric_value(mover["reranked"])
    caption = f"Query {mover['query_id']}: {before} before, {after} after"
    return Details(title, [Table(columns, rows, caption)])


def _documents(documents: Iterable[Mapping[str, Any]]) -> Iterator[list[Cell | str]]:
    for one in documents:
        new = "failed" if one["new_rank"] is None else str(one["new_rank"])
        text = f": {one['excerpt']}" if one["excerpt"] else ""
        grade = "not judged" if one["grade"] is None else str(one["grade"])
        relevant = (one["grade"] or 0) > 0
        yield [
            f"{one['old_rank']} → {new}",
            Cell(grade, "good" if relevant else "plain"),
            "not scored" if one["score"] is None and one["new_rank"] else number(one["score"]),
            f"{one['doc_id']}{text}",
        ]
