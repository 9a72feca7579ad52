"""Two judges side by side: how far they agree with each other and with people, over the pairs that both graded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stages.core.words import counted
from stages.report.document import Column, Document, Items, Section, Table, Text

ROWS = (
    ("pairs", "pairs"),
    ("kappa", "Cohen's kappa, all grades"),
    ("kappa_binary", "kappa, relevant or not"),
    ("kappa_weighted", "kappa, quadratic weights"),
    ("identical", "share with the same grade"),
    ("difference", "mean difference of grades"),
)


def judges_document(content: Mapping[str, Any]) -> Document:
    """`content` is comparison.json's."""
    first, second = content["judges"]
    shared = counted(content["together"]["pairs"], "pair")
    return Document(
        title=f"Judges {first} and {second}",
        lead=[Text(f"{first} and {second} both graded {shared}; of these people judged {_judged(content)}.")],
        sections=[Section("Agreement", [_table(content), *_notes(content)]), *_of_people(content)],
    )


def _judged(content: Mapping[str, Any]) -> str:
    part = content["people"][0]
    return f"{part['pairs']:,}" if part else "none"


def _table(content: Mapping[str, Any]) -> Table:
    first, second = content["judges"]
    heads = ("with each other", f"{first} with people", f"{second} with people")
    parts = [content["together"], *content["people"]]
    rows = [[words, *(_value(part, name) for part in parts)] for name, words in ROWS]
    rows.append(["pairs without a grade", "", *(f"{one:,}" for one in content["missing"])])
    rows.append(["pairs asked in its last run", "", *(f"{one['asked']:,}" for one in content["cost"])])
    caption = "With intervals. The mean difference is the second's grade less the first's, and a judge's less people's."
    return Table([Column("", numeric=False), *map(Column, heads)], rows, caption)


def _value(part: Mapping[str, Any] | None, name: str) -> str:
    """A number with its interval; a dash where there is none."""
    if part is None:
        return "-"
    if name == "pairs":
        return f"{part['pairs']:,}"
    told = part[name]
    if told["value"] is None:
        return "-"
    ends = f" ({told['interval'][0]:z.3f} to {told['interval'][1]:z.3f})" if told["interval"] else ""
    return f"{told['value']:z.3f}{ends}"


def _notes(content: Mapping[str, Any]) -> Iterator[Items]:
    notes = list(content["notes"])
    if content["together"]["kappa"]["value"] is None:
        notes.append("kappa with each other is not defined: the first judge gave all of these pairs one grade")
    if notes:
        yield Items(notes)


def _of_people(content: Mapping[str, Any]) -> Iterator[Section]:
    for name, part in zip(content["judges"], content["people"], strict=True):
        words = list(part["words"]) if part else ["people judged no pair that both graded"]
        yield Section(f"{name} beside people", [Items(words)])
