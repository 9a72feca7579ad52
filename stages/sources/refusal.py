"""Why nothing of a file could be used: the first reason, where, what stands there, and how many lines share it."""

from __future__ import annotations

import re
from collections import Counter

from stages.core.errors import DataError
from stages.core.prepare import Report
from stages.core.records import SetAside
from stages.core.withheld import without_quotes
from stages.sources.lines import shown_line

# What people give instead, by the first line of it that cannot be used, as `shown_line` quotes it.
_NEIGHBOURS = (
    (re.compile(r".<(!doctype|html|head|body)\b", re.IGNORECASE), "a web page: fetch the file itself"),
    (re.compile(r".<"), "XML or SGML: write it as lines"),
    (re.compile(r".[^\s,;]+[,;][^\s,;]+[,;]\S*"), "CSV: separate the columns by tabs"),
)
_JSON = (re.compile(r".\s*[\[{]"), "JSON: data.format jsonl reads rows of it, data.queries and data.documents texts")


class Tally:
    """Passes on what is set aside of a file, and counts it by kind of reason."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._first: SetAside | None = None
        self._kinds: Counter[str] = Counter()

    def __call__(self, row: SetAside) -> None:
        self._first = self._first or row
        self._kinds[without_quotes(row.reason)] += 1
        self._report(row)

    def refusal(self, file: object, form: str, *, of_json: bool = False) -> DataError:
        """That the file has no usable line; `form` says which lines it should have, `of_json` whether they are JSON. A
        line of another kind of file is told as such.
        """
        if self._first is None:
            return DataError(f"{file} has no usable line: there is none but blank ones and comments; {form}")
        shown = shown_line(self._first.where) or ""
        place = f"line {self._first.where.line}" + (f", {shown}" if shown else "")
        kinds = _NEIGHBOURS if of_json else (_JSON, *_NEIGHBOURS)
        kind = next((what for sign, what in kinds if sign.match(shown)), None)
        looks = f"; it looks like {kind}" if kind else ""
        return DataError(
            f"{file} has no usable line: {self._first.reason} ({place}; {self._shared(self._first)}){looks}; {form}"
        )

    def _shared(self, first: SetAside) -> str:
        same, all_of_them = self._kinds[without_quotes(first.reason)], sum(self._kinds.values())
        if all_of_them == 1:
            return "the only one"
        return f"so are all {same:,}" if same == all_of_them else f"so are {same:,} of {all_of_them:,}"
