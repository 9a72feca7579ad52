"""What is still to be judged as a file that anybody fills in, a line for each document; and what comes back of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.judging.campaign import Campaign, Grade
from pipelines.judging.journal import write_whole
from stages.core.errors import DataError
from stages.core.words import counted

SHOWN = 3
"""So many faults of a file are told, and how many more there are."""


def write_tasks(campaign: Campaign) -> int:
    """tasks.jsonl anew: a line for each open pair, `grade` null. Returns how many."""
    lines = []
    for place, document in campaign.open_tasks():
        query = campaign.queries[place]
        row = {
            "query_id": query.query_id,
            "doc_id": query.doc_ids[document],
            "query": query.query,
            "document": query.texts[document],
            "grade": None,
        }
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    write_whole(campaign.folder.tasks, "".join(lines))
    return len(lines)


def read_tasks(path: Path, campaign: Campaign, *, overwrite: bool) -> list[Grade]:
    """The grades of a filled file that are not saved yet; a line with `grade` null says nothing.

    Raises DataError, with line numbers, where any line cannot be used: then nothing of the file is.
    """
    found: dict[tuple[int, int], tuple[int, int]] = {}
    faults: list[str] = []
    for number, line in _lines(path):
        try:
            told = _parsed(line, campaign)
            if told is None:
                continue
            at, grade = told
            saved = campaign.grades(at[0]).get(at[1])
            if at in found and found[at][0] != grade:
                raise ValueError(f"judged {found[at][0]} in line {found[at][1]} and {grade} here")
            if saved is not None and saved != grade and not overwrite:
                raise ValueError(f"judged {saved} before and {grade} here; --overwrite takes the file's")
        except ValueError as fault:
            faults.append(f"line {number}: {fault}")
            continue
        if saved != grade:
            found.setdefault(at, (grade, number))
    if faults:
        more = f"; and {counted(len(faults) - SHOWN, 'more line')}" if len(faults) > SHOWN else ""
        raise DataError(f"{path}: {'; '.join(faults[:SHOWN])}{more}. Nothing of the file was taken; mend it, and again")
    return [Grade(place, document, grade) for (place, document), (grade, _) in found.items()]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path} ({error}); give the filled tasks.jsonl, in UTF-8") from error
    yield from ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())


def _parsed(line: str, campaign: Campaign) -> tuple[tuple[int, int], int] | None:
    """Place and document of a line, and its grade; None where it has none yet. Raises ValueError with what is wrong."""
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("it is no JSON object") from None
    if not isinstance(row, dict):
        raise ValueError("it is no JSON object")
    if missing := [name for name in ("query_id", "doc_id", "grade") if name not in row]:
        raise ValueError(f"it has no {', '.join(missing)}")
    at = campaign.document_of(str(row["query_id"]), str(row["doc_id"]))
    if at is None:
        raise ValueError(
            f"document {row['doc_id']!r:.40} of query {row['query_id']!r:.40} is not among those to be judged"
        )
    grade = row["grade"]
    if grade is None:
        return None
    if isinstance(grade, bool) or not isinstance(grade, int) or not 0 <= grade <= campaign.plan.highest:
        raise ValueError(f"grade is {grade!r:.20}, not a whole number from 0 to {campaign.plan.highest}, or null")
    return at, grade
