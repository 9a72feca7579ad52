"""The first pass over a run file: where each query's lines stand, and what is wrong with others."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from stages.core.prepare import Report
from stages.core.records import Location, SetAside
from stages.sources.lines import BOM, decoded
from stages.sources.run_columns import RunColumns


class RunScan:
    """The first pass: which lines are whose. What is wrong with a line is told here alone.

    `usable`: whether there was a line of a query; `values_differ`: whether not all have the same score.
    """

    def __init__(self, columns: RunColumns, path: Path, set_aside: Report) -> None:
        self._columns, self._path, self._set_aside = columns, str(path), set_aside
        self._in_metadata = False
        self.usable, self.values_differ = False, False

    def run(self, file: BinaryIO, into: dict[str, array[int]], admit: Callable[[str], bool]) -> None:
        """Fill the segments of the queries that `admit` takes. One ends where a usable line of another query begins."""
        plain, current, first, end = self._columns.plain, None, None, 0
        segments: array[int] | None = None
        for number, content in enumerate(file, 1):
            start, end = end, end + len(content)
            entry = plain(content) if number > 1 else None
            if entry is None or entry[0] != current:
                if (entry is None or entry[0].startswith(b"#")) and not (entry := self._careful(content, number)):
                    continue
                if entry[0] != current:
                    current, segments = entry[0], None
                    if admit(query_id := current.decode()):
                        segments = into.get(query_id)
                        if segments is None:  # no more room than the one that most queries have
                            into[query_id] = segments = array("q", (start, 0, number))
                        else:
                            segments.extend((start, 0, number))
                first = entry[2] if first is None else first
                self.usable = True
            if entry[2] != first:
                self.values_differ = True
            if segments is not None:
                segments[-2] = end - segments[-3]

    def _careful(self, content: bytes, number: int) -> tuple[bytes, bytes, float] | None:
        """A line that is not as most are: maybe a comment, maybe malformed."""
        where = Location(self._path, number)
        is_comment = self._is_comment(content.removeprefix(BOM) if number == 1 else content)
        if is_comment and self._in_metadata:
            return None
        line = decoded(content, where, self._set_aside)
        entry = line and self._columns.parsed(line, unreported if is_comment else self._set_aside)
        if entry and is_comment and entry.query_id == "#":
            self._set_aside(SetAside(where, "taken for a comment, as it begins with #"))
            return None
        return (entry.query_id.encode(), b"", entry.value) if entry else None

    def _is_comment(self, content: bytes) -> bool:
        """Whether the line begins with #; it may be of a query all the same, but within an ir_metadata block."""
        if not content.startswith(b"#"):
            self._in_metadata = False
            return False
        words = content[1:].strip()
        if words.startswith(b"ir_metadata.start"):
            self._in_metadata = True
        elif words.startswith(b"ir_metadata.end"):
            self._in_metadata = False
        return True


def unreported(_: SetAside) -> None:
    """Lines are read twice; what is malformed is reported once, by RunScan."""
