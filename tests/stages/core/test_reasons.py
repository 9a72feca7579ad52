"""What was set aside is told by kinds, causes first, and of each kind the first row."""

from __future__ import annotations

from collections.abc import Iterable

from stages.core.reasons import kinds, told_kinds
from stages.core.records import Location, SetAside


def rows(file: str, reasons: Iterable[str]) -> list[SetAside]:
    return [SetAside(Location(file, line), reason) for line, reason in enumerate(reasons, start=1)]


def test_rows_that_differ_in_ids_numbers_and_quoted_values_are_of_one_kind() -> None:
    found = kinds(rows("run.trec", ["score is not a finite number: 'x'", "score is not a finite number: nan"]))
    assert [(kind.reason, kind.rows) for kind in found] == [("score is not a finite number", 2)]
    found = kinds(rows("run.trec", ["document d7 is not in the corpus", "document x y is not in the corpus"]))
    assert [(kind.reason, kind.rows) for kind in found] == [("document … is not in the corpus", 2)]


def test_causes_come_before_what_follows_from_them_however_rare() -> None:
    missing = rows("run.trec", [f"document d{place} is not in the corpus" for place in range(9)])
    unknown = rows("run.trec", ["unknown query: no text for this id"] * 3)
    cause = rows("corpus.jsonl", ["not JSON: Expecting value"])
    assert [kind.first.where.file for kind in kinds([*missing, *unknown, *cause])] == [
        "corpus.jsonl",
        "run.trec",
        "run.trec",
    ]


def test_a_line_names_the_first_row_and_what_it_holds() -> None:
    assert list(told_kinds(rows("run.trec", ["score is not a finite number: 'x'", "no text"]))) == [
        "run.trec:1: score is not a finite number: 'x'",
        "run.trec:2: no text",
    ]
    assert list(told_kinds(rows("run.trec", ["no text", "no text"]))) == ["2 x no text, first at run.trec:1"]
    both = rows("run.trec", ["score is not a finite number: '1,5'", "score is not a finite number: '2,5'"])
    assert list(told_kinds(both)) == [
        "2 x score is not a finite number, first at run.trec:1: score is not a finite number: '1,5'"
    ]


def test_of_many_kinds_the_first_are_told_and_the_rest_are_counted() -> None:
    letters = rows("rows.jsonl", [f"reason {letter}" for letter in "abcdefgg"])
    told = list(told_kinds(letters, most=2))
    assert told == ["2 x reason g, first at rows.jsonl:7", "rows.jsonl:1: reason a", "5 for 5 other reasons"]
