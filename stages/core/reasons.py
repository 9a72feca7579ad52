"""Rows that were set aside, by kinds of reasons: causes before what follows from them, of each the first row."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from stages.core.prepare import NO_DOCUMENT, NOT_IN_CORPUS, UNKNOWN_QUERY
from stages.core.records import SetAside

KINDS_TOLD = 5
# What tells one row from another: a quoted value, a place in a file, a number.
_OF_ONE_ROW = re.compile(r"""'[^']*'|"[^"]*"|\S+:\d+|\b\d[\d.,]*""")


@dataclass(frozen=True, slots=True)
class Kind:
    """So many rows share a reason, but for what tells one from another; `first` is the one that was met first."""

    reason: str
    rows: int
    first: SetAside

    @property
    def words(self) -> str:
        """`rows.jsonl:7: no text`, or of several rows `3 x no text, first at rows.jsonl:7`."""
        if self.rows == 1:
            return f"{self.first.where}: {self.first.reason}"
        told = f": {self.first.reason}" if self.first.reason != self.reason else ""
        return f"{self.rows:,} x {self.reason}, first at {self.first.where}{told}"


def kinds(rows: Iterable[SetAside]) -> list[Kind]:
    """The most frequent first, but what follows from other faults behind all others: a text that is not there is often
    one whose line could not be read.
    """
    counts, first = Counter[str](), dict[str, SetAside]()
    for row in rows:
        reason = _kind(row.reason)
        counts[reason] += 1
        first.setdefault(reason, row)
    found = [Kind(reason, rows, first[reason]) for reason, rows in counts.most_common()]
    return sorted(found, key=lambda kind: _follows(kind.reason))


def told_kinds(rows: Sequence[SetAside], most: int = KINDS_TOLD) -> Iterator[str]:
    """A line for each kind, of many kinds for the first ones."""
    found = kinds(rows)
    for kind in found[:most]:
        yield kind.words
    if left := sum(kind.rows for kind in found[most:]):
        yield f"{left:,} for {len(found) - most:,} other reasons"


def _kind(reason: str) -> str:
    if reason.endswith(NOT_IN_CORPUS):
        return f"document … {NOT_IN_CORPUS}"
    return _OF_ONE_ROW.sub("…", reason.partition(": ")[0])


def _follows(reason: str) -> bool:
    return reason.startswith(UNKNOWN_QUERY) or reason.endswith((NOT_IN_CORPUS, NO_DOCUMENT))
