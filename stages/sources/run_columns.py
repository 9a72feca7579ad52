"""What the columns of a run file mean: TREC's six, or those that `data.run_columns` names.

A third column is a rank where Pyserini (`msmarco`), PyTerrier (`minimal`) or ColBERT wrote it, a score where Tevatron
did: what is right of the one turns the other's lists upside down, so that nobody guesses.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from stages.core.prepare import Report
from stages.core.records import SetAside
from stages.sources.lines import Line

NAMES = ("query_id", "doc_id", "score", "rank", "_")
Order = Literal["score", "rank", "file"]
# Quoted as CSV where an id holds a quote, as PyTerrier writes it; another id may begin and end with one.
_QUOTED = re.compile(r'"(?:[^"]*"")+[^"]*"')


class Entry(NamedTuple):
    """One line. `value` orders its query's list, highest first: the score, or the rank below zero, or 0."""

    query_id: str
    doc_id: str
    value: float


@dataclass(frozen=True, slots=True)
class RunColumns:
    """How many columns a line has, at which places ids and value stand, and what orders a list."""

    names: tuple[str, ...]
    query: int
    doc: int
    value: int | None
    order: Order

    @classmethod
    def named(cls, names: Sequence[str]) -> RunColumns:
        """A score counts before a rank, neither means the order of the file. Raises ValueError for what is no run."""
        for name in names:
            if name not in NAMES:
                raise ValueError(f"{name!r:.40} is no column of a run; choose from {', '.join(NAMES)}")
            if name != "_" and names.count(name) > 1:
                raise ValueError(f"{name} is named twice; call a column that does not count _")
        if missing := [name for name in ("query_id", "doc_id") if name not in names]:
            raise ValueError(f"{' and '.join(missing)} not named; call other columns score, rank or _")
        order: Order = "score" if "score" in names else "rank" if "rank" in names else "file"
        value = None if order == "file" else names.index(order)
        return cls(tuple(names), names.index("query_id"), names.index("doc_id"), value, order)

    def plain(self, content: bytes) -> tuple[bytes, bytes, float] | None:
        """What `parsed` makes of the line, at a fifth of its time, where it is as most are; None: ask that one."""
        fields = content.split()  # at ASCII white space
        if len(fields) != len(self.names) or b'"' in content:
            return None
        try:
            if not content.isascii():
                content.decode()
            value = 0.0 if self.value is None else float(fields[self.value])
        except ValueError:  # no UTF-8, or no number of ASCII digits
            return None
        if self.order == "rank":
            return None if value < 0 or not value.is_integer() else (fields[self.query], fields[self.doc], 0.0 - value)
        return (fields[self.query], fields[self.doc], value) if math.isfinite(value) else None

    def parsed(self, line: Line, set_aside: Report) -> Entry | None:
        """What a line says; None where it is set aside."""
        fields = self.fields(line)
        if len(fields) != len(self.names):
            set_aside(SetAside(line.where, f"a run has {len(self.names)} columns, this line {len(fields)}"))
            return None
        query_id, doc_id = fields[self.query], fields[self.doc]
        if not query_id or not doc_id:
            set_aside(SetAside(line.where, "query or document id missing", query_id or None, doc_id or None))
            return None
        value = 0.0 if self.value is None else self._number(fields[self.value])
        if value is not None:
            return Entry(query_id, doc_id, value)
        what = "rank is not a whole number" if self.order == "rank" else "score is not a finite number"
        set_aside(SetAside(line.where, f"{what}: {fields[self.value or 0]!r:.40}", query_id, doc_id))
        return None

    def _number(self, text: str) -> float | None:
        try:
            number = float(text)
        except ValueError:
            return None
        if self.order == "rank":
            return 0.0 - number if number >= 0 and number.is_integer() else None
        return number if math.isfinite(number) else None

    def fields(self, line: Line) -> list[str]:
        """By white space, as trec_eval separates; else, of as many, by tabs, or by blanks as CSV: ids may hold blanks.

        One column may be empty then, as PyTerrier writes a score that is none.
        """
        fields = line.fields()
        if len(fields) == len(self.names):
            return [_unquoted(field) for field in fields] if '"' in line.text else fields
        by_tabs = [field.strip() for field in line.by_tabs(len(self.names))]
        by_blanks = _by_blanks(line.text)
        return next((some for some in (by_tabs, by_blanks) if len(some) == len(self.names)), fields)


def _by_blanks(text: str) -> list[str]:
    if '"' not in text:
        return text.split(" ")
    try:
        return next(csv.reader([text], delimiter=" "), [])
    except csv.Error:  # a field of 128 KiB and more, or a carriage return within one
        return []


def _unquoted(field: str) -> str:
    return field[1:-1].replace('""', '"') if _QUOTED.fullmatch(field) else field


TREC = RunColumns.named(("query_id", "_", "doc_id", "_", "score", "_"))
