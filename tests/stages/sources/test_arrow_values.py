"""Whatever type a column has, each value is right or told in words with its row: nothing is lost in silence."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.core.prepare import prepare_all
from stages.core.records import Candidates, SetAside
from stages.sources import DataSettings, open_source
from stages.sources.arrow_values import json_value
from tests.stages.sources.parquet_files import made

ONE = uuid.UUID("12345678-1234-5678-1234-567812345678")
JSON = pa.json_()


def written(folder: Path, columns: Mapping[str, Any]) -> DataSettings:
    """A pair per row, in a Parquet file."""
    pq.write_table(pa.table(dict(columns)), folder / "rows.parquet")
    return DataSettings(format="parquet", path=str(folder / "rows.parquet"))


def pairs(**columns: Any) -> dict[str, Any]:
    """A judged row of one pair, but for `columns`."""
    row = {"query_id": ["q"], "query": ["why"], "doc_id": ["d"], "text": ["one"], "score": [1.5], "relevance": [1]}
    return row | columns


def read(settings: DataSettings) -> tuple[list[Candidates], dict[str, dict[str, int]], list[SetAside]]:
    aside: list[SetAside] = []
    source = open_source(settings)
    candidates = list(prepare_all(source.queries(aside.append), None, aside.append))
    judgements = source.judgements(aside.append)
    return candidates, {name: dict(grades) for name, grades in judgements.grades.items()}, aside


def json_list(*lists: Sequence[str] | None) -> pa.Array:
    offsets = np.cumsum([0, *(len(one or ()) for one in lists)])
    return pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()), pa.array([x for one in lists for x in one or ()], JSON)
    )


RIGHT_IDS: list[tuple[pa.Array, str]] = [
    *((pa.array([7], kind), "7") for kind in (pa.int8(), pa.uint8(), pa.int32(), pa.uint64(), pa.float64())),
    (pa.array([7], pa.float16()), "7"),
    (pa.array([2**64 - 1], pa.uint64()), str(2**64 - 1)),
    (pa.array([Decimal("7.00")]), "7"),
    (pa.array([Decimal(10**37 + 1)], pa.decimal128(38, 0)), str(10**37 + 1)),
    *((pa.array(["007"], kind), "007") for kind in (pa.string(), pa.large_string(), pa.string_view())),
    (pa.array(["007"]).dictionary_encode(), "007"),
    *((pa.array([b"007"], kind), "007") for kind in (pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(3))),
    (pa.array([ONE.bytes], pa.uuid()), str(ONE)),
    (pa.array([dt.date(2024, 12, 31)], pa.date32()), "2024-12-31"),
    (pa.array([dt.date(2024, 12, 31)], pa.date64()), "2024-12-31"),
    *(
        (pa.array([stored], JSON), said)
        for stored, said in (("7", "7"), ("7.0", "7"), ('"007"', "007"), ("007", "007"))
    ),
]
WRONG_IDS: list[tuple[pa.Array, str]] = [
    (pa.array([None], pa.null()), "missing"),
    (pa.array([None], pa.int64()), "missing"),
    (pa.array([float("nan")]), "missing"),
    (pa.array([7.5]), "is neither text nor a whole number but float, write it as text: 7.5"),
    (pa.array([2.0**53]), "is a float too large for each whole number to have its own"),
    (pa.array([Decimal("7.5")]), "is neither text nor a whole number but Decimal, write it as text: 7.5"),
    (pa.array([True]), "is neither text nor a whole number but bool"),
    (pa.array([0], pa.timestamp("us")), "is neither text nor a whole number but datetime"),
    (pa.array([0], pa.timestamp("ns", tz="UTC")), "is neither text nor a whole number but Timestamp"),
    (pa.array([dt.time(1)]), "is neither text nor a whole number but time"),
    (pa.array([dt.timedelta(1)]), "is neither text nor a whole number but timedelta"),
    (pa.array([b"\xff\xfe"]), "is neither text nor a whole number but bytes"),
    (pa.array([["d"]]), "is neither text nor a whole number but list"),
    (pa.array([{"a": 1}]), "is neither text nor a whole number but dict"),
    (pa.array(['{"a": 1}'], JSON), "is neither text nor a whole number but dict"),
]


@pytest.mark.parametrize("name", ["query_id", "doc_id"])
@pytest.mark.parametrize(("column", "said"), RIGHT_IDS, ids=lambda one: str(getattr(one, "type", one)))
def test_an_id_of_one_exact_form_is_read_as_it(name: str, column: pa.Array, said: str, tmp_path: Path) -> None:
    candidates, grades, aside = read(written(tmp_path, pairs(**{name: column})))
    query_id, doc_id = (said, "d") if name == "query_id" else ("q", said)
    assert (candidates, aside) == ([Candidates(query_id, "why", (doc_id,), ("one",), (1.5,))], [])
    assert grades == {query_id: {doc_id: 1}}


OF_QUERIES = [("query_id", "query id", *case) for case in WRONG_IDS]
OF_DOCUMENTS = [("doc_id", "document id", *case) for case in WRONG_IDS if case[0].null_count == 0]  # else ids are made


@pytest.mark.parametrize(
    ("name", "whose", "column", "said"), OF_QUERIES + OF_DOCUMENTS, ids=lambda one: str(getattr(one, "type", one))
)
def test_any_other_id_is_told_with_its_type_and_row(
    name: str, whose: str, column: pa.Array, said: str, tmp_path: Path
) -> None:
    candidates, _, aside = read(written(tmp_path, pairs(**{name: column})))
    assert candidates == []
    assert aside[0].where.line == 1
    assert aside[0].reason.startswith(f"{whose} {said}")


SCORES: list[tuple[pa.Array, float | str]] = [
    *((pa.array([3], kind), 3.0) for kind in (pa.int8(), pa.uint64())),
    *((pa.array([1.5], kind), 1.5) for kind in (pa.float16(), pa.float32())),
    *((pa.array([Decimal("1.5")], kind), 1.5) for kind in (pa.decimal128(3, 1), pa.decimal256(50, 3))),
    *((pa.array([text]), 12.5) for text in ("12.5", " +12.5", "1.25e1")),
    (pa.array([b"12.5"]), 12.5),
    (pa.array(["12.5"]).dictionary_encode(), 12.5),
    *((pa.array([stored], JSON), 12.5) for stored in ("12.5", '"12.5"', "12.50")),
    (pa.array(["12,5"]), "score is not a finite number: '12,5'"),
    (pa.array(["1_0"]), "score is not a finite number: '1_0'"),
    (pa.array(["nan"]), "score is not a finite number: 'nan'"),
    (pa.array([True]), "score is not a finite number: True"),
    (pa.array([dt.timedelta(1)]), "score is not a finite number: timedelta"),
    (pa.array([[1.5]]), "score is not a finite number: list"),
]


@pytest.mark.parametrize(("column", "said"), SCORES, ids=lambda one: str(getattr(one, "type", one)))
def test_a_score_is_a_number_of_whatever_type_or_told(column: pa.Array, said: float | str, tmp_path: Path) -> None:
    candidates, _, aside = read(written(tmp_path, pairs(score=column)))
    if isinstance(said, float):
        assert ([one.scores for one in candidates], aside) == ([(said,)], [])
    else:
        assert candidates == []
        assert (aside[0].where.line, aside[0].reason, aside[0].doc_id) == (1, said, "d")


GRADES: list[tuple[pa.Array, int | str]] = [
    *((pa.array([2], kind), 2) for kind in (pa.int8(), pa.uint64(), pa.float16(), pa.float64())),
    (pa.array([Decimal("2.0")]), 2),
    (pa.array([True]), 1),
    (pa.array([False]), 0),
    (pa.array(["2"]), 2),
    (pa.array([b"2"]), 2),
    (pa.array(["2"]).dictionary_encode(), 2),
    *((pa.array([stored], JSON), 2) for stored in ("2", "2.0", '"2"')),
    (pa.array(["good"]), "relevance is not an integer: good (str)"),
    (pa.array([float("nan")]), "relevance is not an integer: nan (float)"),
    (pa.array([[2]]), "relevance is not an integer: [2] (list)"),
    (pa.array([dt.date(2024, 12, 31)]), "relevance is not an integer: 2024-12-31 (date)"),
]


@pytest.mark.parametrize(("column", "said"), GRADES, ids=lambda one: str(getattr(one, "type", one)))
def test_a_grade_is_a_whole_number_of_whatever_type_or_told(column: pa.Array, said: int | str, tmp_path: Path) -> None:
    _, grades, aside = read(written(tmp_path, pairs(relevance=column)))
    if isinstance(said, int):
        assert (grades, aside) == ({"q": {"d": said}}, [])
    else:
        assert grades == {}
        assert [(row.where.line, row.reason, row.query_id, row.doc_id) for row in aside] == [(1, said, "q", "d")]


@pytest.mark.parametrize("half", [Decimal("0.5"), Decimal("1.00000000000000000001"), 0.5])
def test_half_a_grade_is_an_error(half: object, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.parquet:1: judgement \S+ is a fraction"):
        read(written(tmp_path, pairs(relevance=pa.array([half]))))


@pytest.mark.parametrize(
    "column",
    [
        *(pa.array(["one"], kind) for kind in (pa.large_string(), pa.string_view())),
        *(pa.array([b"one"], kind) for kind in (pa.binary(), pa.large_binary())),
        pa.array(["one"]).dictionary_encode(),
        pa.array(['"one"'], JSON),
    ],
    ids=lambda column: str(column.type),
)
@pytest.mark.parametrize("name", ["text", "query"])
def test_a_text_of_whatever_type_is_text(name: str, column: pa.Array, tmp_path: Path) -> None:
    candidates, _, aside = read(written(tmp_path, pairs(**{name: column})))
    assert aside == []
    assert candidates[0].texts == ("one",)
    assert candidates[0].query == ("one" if name == "query" else "why")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([7]), "text is not a string but int"),
        (pa.array([["one"]]), "text is not a string but list"),
        (pa.array([b"\xff\xfe"]), "text is not a string but bytes"),
        (pa.array(['{"text": "one"}'], JSON), "text is not a string but dict"),
    ],
)
def test_a_text_that_is_none_is_told(column: pa.Array, said: str, tmp_path: Path) -> None:
    _, _, aside = read(written(tmp_path, pairs(text=column)))
    assert (aside[0].where.line, aside[0].reason, aside[0].doc_id) == (1, said, "d")


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.string()),
        pa.large_list(pa.large_string()),
        pa.list_(pa.string(), 2),
        pa.list_view(pa.string()),
        pa.list_(pa.binary()),
        pa.list_(pa.dictionary(pa.int32(), pa.string())),
    ],
    ids=str,
)
def test_documents_are_a_list_of_whatever_type(kind: pa.DataType, tmp_path: Path) -> None:
    columns = {"query": ["why"], "documents": pa.array([["one", "two"]], kind), "labels": [[0, 1]]}
    candidates, grades, aside = read(written(tmp_path, columns))
    assert ([one.texts for one in candidates], aside) == ([("one", "two")], [])
    assert grades == {"q1": {"d1": 0, "d2": 1}}


DOCUMENTS = ['{"docid": "a", "text": "one", "label": 1}', '{"docid": 7, "text": "two", "score": 2.5}']
FOUND = ("a", "7"), ("one", "two")


@pytest.mark.parametrize("whole", [False, True], ids=["list of JSON", "JSON"])
def test_json_that_a_column_declares_is_what_it_holds(whole: bool, tmp_path: Path) -> None:
    documents = [one.replace(', "score": 2.5', "") for one in DOCUMENTS]
    column = pa.array([f"[{','.join(documents)}]"], JSON) if whole else json_list(documents)
    candidates, grades, aside = read(written(tmp_path, {"query": ["why"], "documents": column}))
    assert (candidates, aside) == ([Candidates("q1", "why", *FOUND, (-1.0, -2.0))], [])
    assert grades == {"q1": {"a": 1}}


def test_json_deep_within_a_column_is_what_it_holds(tmp_path: Path) -> None:
    texts, labels = pa.array(['"one"', '"two"'], JSON), pa.array(["1", None], JSON)
    ids = pa.array(['"a"', "7"], JSON)
    structs = pa.StructArray.from_arrays([ids, texts, labels], names=["docid", "text", "label"])
    documents = pa.ListArray.from_arrays(pa.array([0, 2], pa.int32()), structs)
    candidates, grades, aside = read(written(tmp_path, {"query": ["why"], "documents": documents}))
    assert (candidates, aside) == ([Candidates("q1", "why", *FOUND, (-1.0, -2.0))], [])
    assert grades == {"q1": {"a": 1}}


def test_a_value_that_is_no_json_sets_its_row_aside(tmp_path: Path) -> None:
    column = json_list(["{", '{"text": "one"}'], ['{"text": "two"}'])
    candidates, _, aside = read(written(tmp_path, {"query": ["why", "who"], "documents": column}))
    assert [one.texts for one in candidates] == [("two",)]
    assert [(row.where.line, row.reason.split(":")[0]) for row in aside] == [(1, "cannot be decoded")]


@given(st.text(max_size=5) | st.from_regex(r"[0-9.eE+-]{1,5}", fullmatch=True))
def test_a_string_that_datasets_stored_without_quotes_is_that_string(text: str) -> None:
    """As Json.encode_example of datasets 5.2.0 does with whatever it takes for JSON: numbers most of all."""
    stored = pytest.importorskip("datasets").Json().encode_example(text)
    value = json_value(stored)
    if isinstance(value, int | float) and not isinstance(value, bool):
        assert str(value) == text
    elif isinstance(value, str):
        assert text in (value, stored)


def test_a_column_of_plain_strings_is_text_whatever_it_looks_like(tmp_path: Path) -> None:
    candidates, _, aside = read(written(tmp_path, pairs(text=['{"a": 1}'])))
    assert (candidates[0].texts, aside) == (('{"a": 1}',), [])


@pytest.mark.parametrize("documents", [DOCUMENTS, [*DOCUMENTS[:1], None]])
def test_objects_written_as_text_are_told_and_not_reranked(documents: list[str | None], tmp_path: Path) -> None:
    rows = {"query": ["why", "who"], "documents": [documents, ["{ is a brace", '{"id": 1}']]}
    candidates, _, aside = read(written(tmp_path, rows))
    assert [(row.where.line, row.reason.split(":")[0]) for row in aside] == [
        (1, "documents are JSON objects written as text")
    ]
    assert aside[0].reason.endswith("keys docid, text, label")
    assert [one.texts for one in candidates] == [("{ is a brace", '{"id": 1}')]


def test_a_list_written_as_text_is_told(tmp_path: Path) -> None:
    _, _, aside = read(written(tmp_path, {"query": ["why"], "documents": [f"[{DOCUMENTS[0]}]"]}))
    assert [row.reason for row in aside] == ["documents is not a list but str (JSON written as text: decode it)"]


@pytest.mark.parametrize("deep", [False, True])
def test_a_null_in_a_list_of_fixed_size_is_told_as_what_it_is(deep: bool, tmp_path: Path) -> None:
    documents = pa.array([["one", "two"], None], pa.list_(pa.string(), 2))
    column = pa.StructArray.from_arrays([documents], names=["text"]) if deep else documents
    settings = written(tmp_path, {"query": ["why", "who"], "documents": column, "labels": [[1, 0], None]})
    said = r"^pyarrow cannot read \S+rows\.parquet: a list of fixed size .* is null .* in documents; cast the column"
    with pytest.raises(DataError, match=said):
        read(settings)


def test_what_is_no_column_of_ours_spoils_nothing(tmp_path: Path) -> None:
    """A vector that is null, a time zone that nobody knows, a year beyond Python's."""
    rows = {
        "query": ["why", "who"],
        "documents": [["one"], ["two"]],
        "embedding": pa.array([[0.5, 0.5], None], pa.list_(pa.float32(), 2)),
        "zone": pa.array([1, 2], pa.timestamp("us", tz="Mars/Phobos")),
        "far": pa.array([2**62, 2], pa.timestamp("us")),
    }
    candidates, _, aside = read(written(tmp_path, rows))
    assert ([one.texts for one in candidates], aside) == ([("one",), ("two",)], [])


def test_a_time_under_a_name_of_ours_sets_its_row_aside(tmp_path: Path) -> None:
    far = pa.array([2**62, 2], pa.timestamp("us", tz="Mars/Phobos"))
    _, _, aside = read(written(tmp_path, {"query_id": far, "query": ["why", "who"], "documents": [["one"], ["two"]]}))
    assert [(row.where.line, row.reason.split(":")[0]) for row in aside] == [
        (1, "cannot be decoded"),
        (2, "cannot be decoded"),
    ]


def of_tool(name: str, folder: Path) -> DataSettings:
    return DataSettings(format="parquet", path=str(made(name, folder)))


def test_documents_with_one_numeric_id_that_duckdb_made_json_of_are_read(tmp_path: Path) -> None:
    candidates, grades, aside = read(of_tool("duckdb-json", tmp_path))
    assert aside == []
    assert candidates == [
        Candidates("q1", "who", ("x1", "7"), ("one", "two"), (-1.0, -2.0)),
        Candidates("q2", "why", ("x1",), ("one",), (-1.0,)),
    ]
    assert grades == {"q1": {"x1": 1}, "q2": {"x1": 1}}


def test_decimals_a_uuid_and_a_date_as_duckdb_writes_them_are_read(tmp_path: Path) -> None:
    candidates, grades, aside = read(of_tool("duckdb", tmp_path))
    assert (candidates, aside) == ([Candidates(str(ONE), "who", ("2024-12-31",), ("one",), (12.5,))], [])
    assert grades == {str(ONE): {"2024-12-31": 1}}


def test_decimals_categories_and_enums_as_polars_writes_them_are_read(tmp_path: Path) -> None:
    candidates, grades, aside = read(of_tool("polars", tmp_path))
    assert (candidates, aside) == ([Candidates("a", "who", ("1", "2"), ("one", "two"), (12.5, 11.25))], [])
    assert grades == {"a": {"1": 1, "2": 0}}


@pytest.mark.parametrize("name", ["duckdb-array", "polars-array"])
def test_arrays_with_a_null_of_either_tool_are_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"pyarrow cannot read \S+{name}\.parquet: .* is null .* in documents; cast"):
        read(of_tool(name, tmp_path))
