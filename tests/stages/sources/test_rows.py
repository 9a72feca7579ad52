from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.core.prepare import prepare_all
from stages.core.records import Candidates, Judgements, RawQuery, SetAside
from stages.sources import DataSettings, open_source
from tests.examples import examples

Row = dict[str, object]

BY_QUERY: list[Row] = [
    {
        "query_id": "a",
        "query": "who",
        "documents": [
            {"id": "d1", "text": "one", "score": 1.0, "relevance": 0},
            {"doc_id": "d2", "title": "Two", "text": "two", "score": 2.0, "relevance": 1},
        ],
        "language": "de",
    },
    {"query_id": "b", "query": "why", "documents": [{"id": "d1", "text": "one", "score": 1.0, "relevance": None}]},
]
BY_PAIR: list[Row] = [
    {"query_id": "a", "query": "who", "doc_id": "d1", "text": "one", "score": 1.0, "relevance": 0, "language": "de"},
    {"query_id": "b", "query": "why", "doc_id": "d1", "text": "one", "score": 1.0, "relevance": None, "language": "fr"},
    {
        "query_id": "a",
        "query": "who",
        "doc_id": "d2",
        "text": "Two two",
        "score": 2.0,
        "relevance": 1,
        "language": "de",
    },
]

TEXTS = ["text", "contents", "content", "body", "passage", "segment"]


def written(folder: Path, kind: str, rows: list[Row], name: str = "rows") -> Path:
    path = folder / f"{name}.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def of_rows(path: Path | str, **more: object) -> DataSettings:
    form = "parquet" if str(path).endswith("parquet") else "jsonl"
    return DataSettings.model_validate({"format": form, "path": str(path), **more})


def read(settings: DataSettings) -> tuple[list[RawQuery], list[SetAside]]:
    aside: list[SetAside] = []
    return list(open_source(settings).queries(aside.append)), aside


def prepared(settings: DataSettings) -> tuple[list[Candidates], list[SetAside]]:
    queries, aside = read(settings)
    return list(prepare_all(queries, settings.depth, aside.append)), aside


def judged(settings: DataSettings) -> tuple[Judgements, list[SetAside]]:
    aside: list[SetAside] = []
    return open_source(settings).judgements(aside.append), aside


def said(aside: list[SetAside]) -> list[tuple[int, str]]:
    return [(row.where.line, row.reason) for row in aside]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
@pytest.mark.parametrize("rows", [BY_QUERY, BY_PAIR], ids=["by_query", "by_pair"])
def test_both_layouts_give_the_same_candidates_and_judgements(rows: list[Row], form: str, tmp_path: Path) -> None:
    settings = of_rows(written(tmp_path, form, rows))
    candidates, aside = prepared(settings)
    assert aside == []
    first = Candidates("a", "who", ("d2", "d1"), ("Two two", "one"), (2.0, 1.0), attributes={"language": "de"})
    assert candidates[0] == first
    assert (candidates[1].query_id, candidates[1].doc_ids) == ("b", ("d1",))
    assert judged(settings) == (Judgements({"a": {"d1": 0, "d2": 1}}), [])


def test_a_row_s_own_document_leaves_the_list_where_that_is_asked_for(tmp_path: Path) -> None:
    documents = [{"id": "7", "text": "who"}, {"id": "d", "text": "one"}]
    rows: list[Row] = [
        {"query_id": 7, "query": "who", "documents": documents},
        {"query_id": "d1", "query": "which", "documents": ["an id is made for this one"]},
    ]
    path = written(tmp_path, "jsonl", rows)
    assert [one.doc_ids for one in prepared(of_rows(path))[0]] == [("7", "d"), ("d1",)]
    kept, aside = prepared(of_rows(path, drop_self=True, depth=1))
    assert [one.doc_ids for one in kept] == [("d",), ("d1",)]
    assert said(aside) == [(1, "the query's own document (data.drop_self)")]


def test_rows_without_a_text_keep_their_documents_places(tmp_path: Path) -> None:
    documents = [{"id": "a", "text": None}, {"id": "b", "text": "x"}, {"id": "c", "text": ""}]
    rows: list[Row] = [{"query_id": "q", "query": "who", "documents": documents}]
    [one], aside = prepared(of_rows(written(tmp_path, "jsonl", rows)))
    assert (one.doc_ids, one.top) == (("b",), ("a", "b", "c"))
    assert said(aside) == [(1, "no text"), (1, "no text")]


def test_parallel_lists_are_read_beside_strings(tmp_path: Path) -> None:
    row: Row = {"query": "q", "documents": ["x", "y"], "doc_ids": [1, 2], "scores": [0.1, 0.2], "labels": [True, 2.0]}
    settings = of_rows(written(tmp_path, "parquet", [{**row, "labels": [1.0, 2.0]}]))
    assert prepared(settings)[0] == [Candidates("q1", "q", ("2", "1"), ("y", "x"), (0.2, 0.1))]
    assert judged(settings)[0] == Judgements({"q1": {"1": 1, "2": 2}})
    assert judged(of_rows(written(tmp_path, "jsonl", [row])))[0] == Judgements({"q1": {"1": 1, "2": 2}})


def test_lists_beside_objects_say_what_the_objects_do_not(tmp_path: Path) -> None:
    row: Row = {"query": "why", "documents": [{"id": "a", "text": "one"}, {"id": "b", "text": "two"}]}
    path = written(tmp_path, "jsonl", [{**row, "scores": [1.0, 2.0], "labels": [1, 0]}], "rows")
    (one,), aside = prepared(of_rows(path))
    assert (one.doc_ids, one.scores, aside) == (("b", "a"), (2.0, 1.0), [])
    assert judged(of_rows(path))[0].grades == {"q1": {"a": 1, "b": 0}}
    twice = written(tmp_path, "jsonl", [{**row, "doc_ids": ["a", "c"]}], "twice")
    assert "two values of doc_id" in said(read(of_rows(twice))[1])[0][1]


def test_rows_need_not_agree_on_the_names_that_the_field_has(tmp_path: Path) -> None:
    """As where the files of several writers are read together."""
    pairs: list[Row] = [
        {"query_id": "1", "query": "why", "doc_id": "a", "text": "one", "relevance": 1},
        {"query_id": "1", "query": "why", "docid": "b", "contents": "two", "label": 0},
        {"qid": "2", "query": "who", "docno": "b", "passage": "two", "label": 2},
    ]
    path = written(tmp_path, "jsonl", pairs, "pairs")
    assert [(one.doc_ids, one.texts) for one in prepared(of_rows(path))[0]] == [
        (("a", "b"), ("one", "two")),
        (("b",), ("two",)),
    ]
    assert judged(of_rows(path))[0].grades == {"1": {"a": 1, "b": 0}, "2": {"b": 2}}


def test_a_query_id_that_comes_late_is_told_not_replaced_by_its_place(tmp_path: Path) -> None:
    row: Row = {"query": "why", "documents": ["one"]}
    path = written(tmp_path, "jsonl", [*[row] * 100, {**row, "query_id": "x7"}], "rows")
    queries, aside = read(of_rows(path))
    assert len(queries) == 100
    assert said(aside) == [(101, "a query id, where the first rows have none: give every row one")]


def test_missing_ids_are_made_from_positions(tmp_path: Path) -> None:
    by_query: list[Row] = [{"query": "x", "documents": ["b", "a"]}, {"query": "y", "documents": [{"text": "c"}]}]
    by_pair: list[Row] = [{"query": "x", "text": "b"}, {"query": "y", "text": "c"}, {"query": "x", "text": "a"}]
    expected = [
        Candidates("q1", "x", ("d1", "d2"), ("b", "a"), (-1.0, -2.0)),
        Candidates("q2", "y", ("d1",), ("c",), (-1.0,)),
    ]
    assert prepared(of_rows(written(tmp_path, "jsonl", by_query))) == (expected, [])
    assert prepared(of_rows(written(tmp_path, "jsonl", by_pair))) == (expected, [])


def test_columns_are_found_under_the_names_they_are_mapped_to_also_within_documents(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"question": "x", "passages": {"body": ["b", "a"], "selected": [0, 1]}, "text": "an attribute, then"},
    ]
    mapping = {"query": "question", "documents": "passages", "text": "body", "relevance": "selected"}
    settings = of_rows(written(tmp_path, "parquet", rows), columns=mapping)
    expected = Candidates("q1", "x", ("d1", "d2"), ("b", "a"), (-1.0, -2.0), attributes={"text": "an attribute, then"})
    assert prepared(settings) == ([expected], [])
    assert judged(settings)[0] == Judgements({"q1": {"d1": 0, "d2": 1}})


def test_missing_columns_are_an_error_that_says_what_is_there_and_what_to_do(tmp_path: Path) -> None:
    path = written(tmp_path, "jsonl", [{"question": "x", "answer": "y"}])
    with pytest.raises(
        DataError,
        match=r"rows\.jsonl: rerank needs columns query and documents .*; got question, answer. Map them under",
    ):
        open_source(of_rows(path))
    with pytest.raises(DataError, match=r"data.columns: \S+rows\.jsonl has no column 'quest' for query; got question"):
        open_source(of_rows(path, columns={"query": "quest", "text": "answer"}))


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
@pytest.mark.parametrize("name", ["docid", "docno", "pid", "doc_id", "_id", "id"])
def test_ids_are_read_under_the_names_that_the_field_has_for_them(name: str, form: str, tmp_path: Path) -> None:
    pairs: list[Row] = [{"qid": 3, "query": "x", name: "a", "text": "one"}]
    queries: list[Row] = [{"qid": 3, "query": "x", "documents": [{name: "a", "text": "one"}]}]
    for rows in (pairs, queries):
        candidates, aside = prepared(of_rows(written(tmp_path, form, rows)))
        assert (candidates, aside) == ([Candidates("3", "x", ("a",), ("one",), (-1.0,))], [])


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_read_under_the_names_that_the_field_has_for_them(name: str, form: str, tmp_path: Path) -> None:
    pairs: list[Row] = [{"query": "x", name: "one"}]
    queries: list[Row] = [{"query": "x", "documents": [{name: "one"}]}]
    for rows in (pairs, queries):
        candidates, aside = prepared(of_rows(written(tmp_path, form, rows)))
        assert (candidates, aside) == ([Candidates("q1", "x", ("d1",), ("one",), (-1.0,))], [])


def test_an_id_beside_the_documents_is_the_querys_and_one_beside_a_pair_may_be_the_rows(tmp_path: Path) -> None:
    query: Row = {"id": 7, "query": "x", "documents": ["one"]}
    assert prepared(of_rows(written(tmp_path, "jsonl", [query])))[0][0].query_id == "7"
    found = prepared(of_rows(written(tmp_path, "jsonl", [{"id": 7, "query": "x", "text": "one"}])))[0][0]
    assert (found.query_id, found.doc_ids) == ("q1", ("d1",))
    named: Row = {"query_id": "q", "query": "x", "id": 1, "docid": "a", "text": "one"}
    assert prepared(of_rows(written(tmp_path, "jsonl", [named])))[0][0].doc_ids == ("a",)


def test_what_could_be_two_things_is_told_and_mapping_one_decides(tmp_path: Path) -> None:
    passages = [{"docid": "doc", "pid": "passage", "body": "one"}, {"docid": "same", "pid": "same", "body": "two"}]
    rows: list[Row] = [{"qid": "a", "query": "x", "documents": passages}]
    rows += [{"qid": "b", "query": "y", "documents": passages[1:]}]
    path = written(tmp_path, "jsonl", rows)
    candidates, aside = prepared(of_rows(path))
    assert [(one.query_id, one.doc_ids) for one in candidates] == [("b", ("same",))]
    assert [(row.query_id, row.reason) for row in aside] == [
        ("a", "several could be doc_id, map one under data.columns: docid, pid")
    ]
    candidates, aside = prepared(of_rows(path, columns={"doc_id": "pid"}))
    assert (candidates[0].doc_ids, aside) == (("passage", "same"), [])
    pair: Row = {"query": "x", "contents": "one", "body": "two"}
    assert said(prepared(of_rows(written(tmp_path, "jsonl", [pair])))[1]) == [
        (1, "several could be text, map one under data.columns: contents, body")
    ]


def test_where_our_own_name_is_there_others_are_attributes(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"query": "x", "text": "one", "segment": "mobile"},
        {"query": "x", "text": None, "segment": "mobile"},
    ]
    candidates, aside = prepared(of_rows(written(tmp_path, "jsonl", rows)))
    assert (candidates[0].texts, candidates[0].attributes) == (("one",), {"segment": "mobile"})
    assert said(aside) == [(2, "no text")]
    row: Row = {"query": "x", "segment": "mobile", "documents": [{"text": None, "segment": "s"}, {"text": "one"}]}
    candidates, aside = prepared(of_rows(written(tmp_path, "jsonl", [row])))
    assert (candidates[0].texts, candidates[0].attributes) == (("one",), {"segment": "mobile"})
    assert said(aside) == [(1, "no text")]


def test_documents_without_any_text_name_the_keys_that_they_have(tmp_path: Path) -> None:
    documents = [{"docid": "a", "doc": {"contents": "one"}}, {"docid": "b", "score": 1.0}]
    _, aside = prepared(of_rows(written(tmp_path, "jsonl", [{"query": "x", "documents": documents}])))
    assert said(aside) == [
        (1, f"no document has a text ({', '.join(TEXTS)}), map it under data.columns: found docid, doc, score")
    ]


def test_a_column_mapped_to_nothing_is_an_error_even_if_it_is_optional(tmp_path: Path) -> None:
    path = written(tmp_path, "jsonl", BY_PAIR)
    with pytest.raises(DataError, match=r"data.columns: \S+ has no column 'rank' for score"):
        open_source(of_rows(path, columns={"score": "rank"}))


def test_a_folder_and_a_pattern_are_read_in_the_order_of_file_names(tmp_path: Path) -> None:
    written(tmp_path, "jsonl", BY_QUERY[1:], "part-2")
    written(tmp_path, "jsonl", BY_QUERY[:1], "part-1")
    (tmp_path / "notes.md").write_text("not data")
    for path in (tmp_path, f"{tmp_path}/part-*.jsonl"):
        assert [query.query_id for query in read(of_rows(path))[0]] == ["a", "b"]
    assert open_source(of_rows(tmp_path)).name == tmp_path.name


def test_no_file_a_wrong_file_and_an_empty_file_are_errors(tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no parquet PAR1")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match=r"data.path: .*nowhere.* matches no file ending in \.jsonl"):
        open_source(of_rows(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"cannot read .*broken\.parquet as Parquet"):
        open_source(of_rows(tmp_path / "broken.parquet"))
    with pytest.raises(DataError, match=r"has no usable line"):
        open_source(of_rows(tmp_path / "empty.jsonl"))
    with pytest.raises(DataError, match=r"mixed"):
        open_source(DataSettings(format="mteb", path=str(tmp_path)))


def test_malformed_rows_are_set_aside_and_the_rest_is_read(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"query": "x", "documents": "no list"},
        {"query": "x", "documents": ["a", "b"], "scores": [1.0]},
        {"query": "x", "documents": ["a"], "doc_ids": "d"},
        {"query": None, "documents": ["a"]},
        {"query": "good", "documents": ["a", None, 7]},
    ]
    candidates, aside = prepared(of_rows(written(tmp_path, "jsonl", rows)))
    assert [(item.query_id, item.texts) for item in candidates] == [("q4", ()), ("q5", ("a",))]
    assert said(aside) == [
        (1, "documents is not a list but str"),
        (2, "scores has 1 entries, documents 2"),
        (3, "doc_ids is not a list but str"),
        (4, "empty query"),
        (5, "no text"),
        (5, "text is not a string but int"),
    ]


def test_malformed_pair_rows_are_set_aside(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"query_id": "a", "query": "x", "text": "one", "doc_id": 1},
        {"query_id": None, "query": "x", "text": "one", "doc_id": 2},
        {"query_id": "a", "query": "y", "text": "one", "doc_id": 3},
        {"query_id": "a", "query": None, "text": "one", "doc_id": 4},
        {"query_id": "a", "query": "x", "text": "two", "doc_id": 1},
        {"query_id": "a", "query": "x", "text": None, "doc_id": 5},
        {"query_id": "a", "query": "x", "text": "six", "doc_id": None},
    ]
    path = written(tmp_path, "jsonl", rows)
    candidates, aside = prepared(of_rows(path))
    assert [(item.query_id, item.doc_ids) for item in candidates] == [("a", ("1",))]
    assert said(aside) == [
        (2, "query id missing"),
        (3, f"another query text than in {path}:1"),
        (4, "query is not a string"),
        (5, "duplicate document id within the query"),
        (6, "no text"),
        (7, "document id missing"),
    ]


def test_a_parquet_row_that_python_cannot_hold_is_set_aside_alone(tmp_path: Path) -> None:
    broken = pa.array([b"fine", b"\xff\xfe"]).view(pa.string())
    table = pa.table({"query": ["x", "y"], "text": broken})
    pq.write_table(table, tmp_path / "rows.parquet")
    queries, aside = read(of_rows(tmp_path / "rows.parquet"))
    assert [query.query for query in queries] == ["x"]
    assert [(line, reason.split(":")[0]) for line, reason in said(aside)] == [(2, "cannot be decoded")]


def test_fractional_relevance_is_an_error_and_other_nonsense_is_set_aside(tmp_path: Path) -> None:
    rows: list[Row] = [{"query": "x", "text": "a", "label": "bad"}, {"query": "x", "text": "b", "label": 1.0}]
    judgements, aside = judged(of_rows(written(tmp_path, "jsonl", rows)))
    assert (judgements, said(aside)) == (Judgements({"q1": {"d2": 1}}), [(1, "relevance is not an integer: bad (str)")])
    with pytest.raises(DataError, match=r"rows\.jsonl:1: judgement 0\.5 is a fraction"):
        judged(of_rows(written(tmp_path, "jsonl", [{"query": "x", "text": "a", "label": 0.5}])))


def test_a_qrels_file_takes_the_place_of_the_relevance_column(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("a 0 d1 2\nb 0 d1 1\n")
    path = written(tmp_path, "jsonl", BY_PAIR)
    assert judged(of_rows(path, qrels=tmp_path / "qrels"))[0] == Judgements({"a": {"d1": 2}, "b": {"d1": 1}})
    assert judged(of_rows(path, qrels=tmp_path / "qrels", limit=1))[0] == Judgements({"a": {"d1": 2}})
    with pytest.raises(DataError, match=r"data.qrels: .*nowhere does not exist"):
        open_source(of_rows(path, qrels=tmp_path / "nowhere"))


def test_a_limit_takes_the_first_queries(tmp_path: Path) -> None:
    assert [query.query_id for query in read(of_rows(written(tmp_path, "jsonl", BY_PAIR), limit=1))[0]] == ["a"]


def test_only_attributes_that_all_rows_of_a_query_share_are_the_querys(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"query": "x", "text": "a", "language": "de", "url": "one"},
        {"query": "x", "text": "b", "language": "de", "url": "two"},
    ]
    assert read(of_rows(written(tmp_path, "jsonl", rows)))[0][0].attributes == {"language": "de"}


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "text", "score", "label"]), inner)
    ),
    max_leaves=5,
)
names = st.sampled_from(
    ["query_id", "query", "documents", "doc_id", "doc_ids", "text", "score", "scores", "relevances", "x"]
)
objects = st.dictionaries(names, values, max_size=7)


@examples(300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(objects, st.lists(objects.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=9), max_size=5))
def test_garbage_rows_are_set_aside_or_one_of_our_errors(tmp_path: Path, first: Row, lines: list[bytes]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\n".join([json.dumps({"query": "good", "documents": ["text"], **first}).encode(), *lines]))
    settings = of_rows(path)
    prepared(settings)
    try:
        judged(settings)
    except DataError as error:
        assert "is a fraction" in str(error)


@examples(100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 10_000), st.binary(min_size=1, max_size=8))
def test_a_damaged_parquet_file_is_one_of_our_errors_or_is_read(tmp_path: Path, position: int, damage: bytes) -> None:
    path = written(tmp_path, "parquet", BY_QUERY)
    content = bytearray(path.read_bytes())
    position %= len(content)
    content[position : position + len(damage)] = damage
    path.write_bytes(content)
    try:
        prepared(of_rows(path))
    except DataError as error:
        assert "rows" in str(error)
