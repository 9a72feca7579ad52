"""JSON arrays, CSV and TSV are tables of rows."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from stages.core.errors import DataError
from stages.core.prepare import prepare_all
from stages.core.records import Candidates, SetAside
from stages.sources import DataSettings, Source, open_source

ROWS = [
    {"query_id": "007", "query": 'who, "if any"', "doc_id": "1", "text": "one\ntwo", "score": 2.5, "label": 1},
    {"query_id": "007", "query": 'who, "if any"', "doc_id": "2", "text": "\ttab; semi", "score": 1.25, "label": 0},
    {"query_id": "7", "query": "why", "doc_id": "1", "text": "one\ntwo", "score": -3.0, "label": None},
]


def source_of(path: Path, form: str, **more: object) -> Source:
    return open_source(DataSettings.model_validate({"format": form, "path": str(path), **more}))


def prepared(source: Source) -> tuple[list[Candidates], list[SetAside]]:
    aside: list[SetAside] = []
    return list(prepare_all(source.queries(aside.append), 100, aside.append)), aside


def expect_rows(source: Source) -> None:
    queries, aside = prepared(source)
    assert [(one.query_id, one.query, one.doc_ids, one.texts, one.scores) for one in queries] == [
        ("007", 'who, "if any"', ("1", "2"), ("one\ntwo", "\ttab; semi"), (2.5, 1.25)),
        ("7", "why", ("1",), ("one\ntwo",), (-3.0,)),
    ]
    assert source.judgements(aside.append).grades == {"007": {"1": 1, "2": 0}}
    assert aside == []


@pytest.mark.parametrize(("name", "separator"), [("rows.csv", ","), ("rows.csv", ";"), ("rows.tsv", "\t")])
def test_csv_of_the_csv_module_and_of_pandas_is_read_with_its_quotes(name: str, separator: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ROWS[0], delimiter=separator)
        writer.writeheader()
        writer.writerows(ROWS)
    expect_rows(source_of(path, "csv"))
    pd.DataFrame(ROWS).astype({"label": "Int64"}).to_csv(path, sep=separator, index=False)
    expect_rows(source_of(path, "csv"))


def test_an_array_of_json_rows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    pd.DataFrame(ROWS).astype({"label": "Int64"}).to_json(path, orient="records", indent=2)
    expect_rows(source_of(path, "json"))


def test_columns_of_csv_are_mapped_and_their_numbers_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("frage,passage,bm25,note\nwho,one,9.5,2\n")
    source = source_of(path, "csv", columns={"query": "frage", "text": "passage", "score": "bm25", "relevance": "note"})
    ((one,), aside) = prepared(source)
    assert (one.texts, one.scores, aside) == (("one",), (9.5,), [])
    assert source.judgements(aside.append).grades == {"q1": {"d1": 2}}


def test_a_row_with_too_few_cells_is_set_aside_and_an_empty_cell_is_no_value(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('query_id,query,doc_id,text,score\n1,"who\nnow",d1,one,2\n2,why\n3,how,d1,,2\n')
    queries, aside = prepared(source_of(path, "csv"))
    assert [one.query for one in queries if one.doc_ids] == ["who\nnow"]
    assert (aside[0].where.line, aside[0].reason) == (4, "the header has 5 columns, this row 2")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("query,text,text\n", "two columns have one name"),
        ('query,text\nwho,"one\n', "not CSV: unexpected end of data"),
        ("query,titel\nwho,one\n", "rerank needs columns query and documents"),
    ],
)
def test_what_is_no_table_is_refused(text: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=told):
        prepared(source_of(path, "csv"))


def test_a_cell_that_no_quote_closes_does_not_take_the_rest_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.sources.formats.tables.LARGEST_CELL", 1000)
    path = tmp_path / "rows.csv"
    path.write_text('query,text\nwho,"' + "one\n" * 1000)
    with pytest.raises(DataError, match=r"rows.csv:\d+: not CSV: field larger than field limit"):
        prepared(source_of(path, "csv"))


def test_rows_that_quotes_hold_together_are_set_aside_not_read_as_one(tmp_path: Path) -> None:
    """A writer of TSV that quotes nothing: one text begins with a quote, one ends with it."""
    path = tmp_path / "rows.tsv"
    path.write_text('query\tdoc_id\ttext\tlabel\nwhy\ta\t"one\t1\nwhy\tb\ttwo"\t0\nwhy\tc\t"x\ty\nz"\t0\n')
    (query,), aside = prepared(source_of(path, "csv"))
    assert (query.doc_ids, query.texts) == (("c",), ("x\ty\nz",))
    assert [row.reason[:30] for row in aside] == ["a quote at the start of a cell"]


def test_rows_and_arrays_side_by_side_are_one_table(tmp_path: Path) -> None:
    rows = [{"query": "who", "documents": ["one"]}, {"query": "why", "documents": ["two"]}]
    (tmp_path / "a.json").write_text(json.dumps(rows[:1]))
    (tmp_path / "b.jsonl").write_text(json.dumps(rows[1]) + "\n")
    queries, _ = prepared(source_of(tmp_path, "json"))
    assert [one.query for one in queries] == ["who", "why"]
