"""`rerank-eval compare` of two judges: how far they agree with each other, and each with people, side by side."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.grading.folder import JudgeFolder
from pipelines.grading.pool import Grades
from pipelines.runs.report import check_form, show
from stages.core.errors import ConfigError, DataError
from stages.core.grades import HIGHEST
from stages.core.words import counted
from stages.grading.agreement import agreement
from stages.report.html import write_html
from stages.report.judges_report import judges_document

FORMS = ("terminal", "md", "latex", "json")


def are_judgings(references: Sequence[str]) -> bool:
    """Whether they are folders of judgings. Raises ConfigError where some are and others not, or they are not two."""
    judged = [JudgeFolder(Path(one)).is_judging() for one in references]
    if not any(judged):
        return False
    if not all(judged):
        first, other = references[judged.index(True)], references[judged.index(False)]
        raise ConfigError(f"{first} is a judging and {other} is none: compare judgings with each other, and runs so")
    if len(references) != 2:
        raise ConfigError(f"{counted(len(references), 'judging')}: give two, whose judges are compared")
    return True


def print_judges(references: Sequence[str], form: str, out: Path) -> None:
    """Raises DataError where they cannot be read or have no pair in common."""
    check_form(form, FORMS)
    content = compare_judges(*(JudgeFolder(Path(one)) for one in references))
    document = judges_document(content)
    folder = out / content["comparison_id"]
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_html(document, folder / "comparison.html", folder / "figures")
        (folder / "comparison.json").write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out {out}: cannot be written ({error.strerror}). Choose another folder.") from error
    if form == "json":
        print(text, end="")
        return
    show(document, form, None, folder / "comparison.html")
    print(f"\ncomparison  {folder}", file=sys.stdout if form == "terminal" else sys.stderr)


def compare_judges(first: JudgeFolder, second: JudgeFolder) -> dict[str, Any]:
    """The content of comparison.json: of the pairs that both graded, and of these those that people judged.

    Raises DataError where there are none.
    """
    folders = (first, second)
    contents = [one.read_json() for one in folders]
    names = _names(contents, folders)
    grades = _shared(first.read_grades(), second.read_grades())
    together = agreement(*grades, highest=HIGHEST)
    if together is None:
        raise DataError(f"{first.path} and {second.path} have graded no pair in common: judge the same runs with both")
    people, differing = _people(folders)
    beside = [agreement(people, one, highest=_highest(contents)) for one in grades]
    notes = []
    if differing:
        notes.append(f"{counted(differing, 'pair')} that people judged otherwise in {second.path}: {first.path} counts")
    ids = "\n".join([*names, *(str(one.path.resolve()) for one in folders)])
    return {
        "comparison_id": f"judges-{hashlib.sha256(ids.encode()).hexdigest()[:8]}",
        "judges": names,
        "folders": [str(one.path) for one in folders],
        "together": asdict(together),
        "people": [None if one is None else asdict(one) for one in beside],
        "missing": [one["counts"]["missing"] for one in contents],
        "cost": [one["cost"] for one in contents],
        "notes": notes,
    }


def _names(contents: Sequence[Mapping[str, Any]], folders: Sequence[JudgeFolder]) -> list[str]:
    """NAME@DIGEST; of the same model twice with the folders' names, as a digest tells nobody which is which."""
    names = [f"{one['judge']['name']}@{one['judge']['digest']}" for one in contents]
    if contents[0]["judge"]["name"] != contents[1]["judge"]["name"]:
        return names
    return [f"{name} ({folder.path.name})" for name, folder in zip(names, folders, strict=True)]


def _shared(first: Grades, second: Grades) -> list[Grades]:
    """Of the pairs that both graded."""
    return [
        {
            query_id: {doc_id: grade for doc_id, grade in grades.items() if doc_id in other.get(query_id, {})}
            for query_id, grades in one.items()
        }
        for one, other in ((first, second), (second, first))
    ]


def _people(folders: Sequence[JudgeFolder]) -> tuple[Grades, int]:
    """What people judged, by either folder; and of how many pairs the second says otherwise."""
    found: dict[str, dict[str, int]] = {}
    differing = 0
    for folder in folders:
        for query_id, grades in folder.read_people().items():
            known = found.setdefault(query_id, {})
            for doc_id, grade in grades.items():
                differing += known.setdefault(doc_id, grade) != grade
    return found, differing


def _highest(contents: Sequence[Mapping[str, Any]]) -> int | None:
    """Of people's scale, as the judgings told it."""
    return max((one["agreement"]["highest"] for one in contents if one["agreement"]), default=None)
