"""The tables of a judge's report: agreement with people, what it calls each grade, slices, planted texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stages.core.words import NONE, count, percent, share
from stages.report.document import Cell, Column, Table

Told = Mapping[str, Any]


def decimal(told: Told, *, sign: bool = False) -> str:
    """A number of two digits; a dash where there is none."""
    if told["value"] is None:
        return NONE
    return f"{told['value']:+z.2f}" if sign else f"{told['value']:z.2f}"


def ends(told: Told, *, sign: bool = False) -> str:
    if not told["interval"]:
        return NONE
    low, high = told["interval"]
    return f"{low:+z.2f} to {high:+z.2f}" if sign else f"{low:z.2f} to {high:z.2f}"


def shares(told: Told) -> str:
    return NONE if not told["interval"] else f"{share(told['interval'][0], 0)} to {share(told['interval'][1], 0)}"


def agreement_table(agreement: Mapping[str, Any]) -> Table:
    grades = f"{agreement['highest'] + 1:,}"
    rows = [
        _kappa(f"Cohen's kappa, {grades} grades", agreement["kappa"]),
        _kappa("the same, quadratic weights", agreement["kappa_weighted"]),
        _kappa("the same, relevant or not", agreement["kappa_binary"]),
        _share("the same grade", agreement["identical"]),
        _share("called 2 or 3, and people agree", agreement["confirmed"]),
        _share("relevant to people, and found", agreement["found"]),
        [
            "judge less people, mean",
            decimal(agreement["difference"], sign=True),
            ends(agreement["difference"], sign=True),
            _reason(agreement["difference"]),
        ],
    ]
    columns = [Column("", numeric=False), Column("value"), Column(f"{percent(agreement['confidence'])} interval")]
    if any(row[-1] for row in rows):
        return Table([*columns, Column("", numeric=False)], rows)
    return Table(columns, [row[:-1] for row in rows])


def confusion_table(agreement: Mapping[str, Any]) -> Table:
    """A row for each of the judge's grades: what people say of the same pairs."""
    last = len(agreement["confusion"][0]) - 1
    above = " or more" if agreement["highest"] > last else ""
    people = [*map(str, range(last)), f"{last}{above}"]
    columns = [Column("judge", numeric=False), *(Column(f"people {grade}") for grade in people)]
    columns += [Column("pairs"), Column("relevant to people"), Column(f"{percent(agreement['confidence'])} interval")]
    rows: list[list[Cell | str]] = [
        [
            str(one["grade"]),
            *(count(pairs) for pairs in one["people"]),
            count(one["pairs"]),
            share(one["relevant"]["value"], 0),
            shares(one["relevant"]),
        ]
        for one in agreement["by_grade"]
    ]
    return Table(columns, rows, "Pairs by the judge's grade (rows) and people's (columns)")


def slices_table(slices: Sequence[Mapping[str, Any]]) -> Table:
    columns = [Column("slice", numeric=False), Column("queries"), Column("pairs")]
    columns += [Column("kappa"), Column("interval"), Column("binary kappa"), Column("interval")]
    columns += [Column("same grade"), Column("judge less people")]
    rows = [
        [
            one["name"],
            count(one["queries"]),
            count(one["pairs"]),
            decimal(one["kappa"]),
            ends(one["kappa"]),
            decimal(one["kappa_binary"]),
            ends(one["kappa_binary"]),
            share(one["identical"]["value"], 0),
            decimal(one["difference"], sign=True),
        ]
        for one in slices
    ]
    return Table(columns, rows, "By slice; intervals are not corrected for their number")


def kinds_table(kinds: Sequence[Mapping[str, Any]]) -> Table:
    """Of the kinds that a pair was given."""
    columns = [Column("text", numeric=False), Column("what it does", numeric=False)]
    rows: list[list[Cell | str]] = [
        [
            one["kind"],
            one["says"],
            count(one["pairs"]),
            Cell(count(one["raised"]), "bad" if one["raised"] else "plain"),
            NONE if one["change"] is None else f"{one['change']:+z.2f}",
        ]
        for one in kinds
        if one["pairs"]
    ]
    return Table([*columns, Column("pairs"), Column("raised"), Column("mean change")], rows)


def missing_table(missing: Mapping[str, int]) -> Table:
    rows = [[reason, count(pairs)] for reason, pairs in missing.items()]
    return Table([Column("no grade, because", numeric=False), Column("pairs")], rows)


def _kappa(name: str, told: Told) -> list[str]:
    return [name, decimal(told), ends(told), _reason(told)]


def _share(name: str, told: Told) -> list[str]:
    return [name, share(told["value"], 0), shares(told), _reason(told)]


def _reason(told: Told) -> str:
    return told["reason"] or ""
