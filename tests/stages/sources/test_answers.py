"""Answers are read from a text, a list, SQuAD's objects or lists written as text, and never beside qrels unasked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset
from pydantic import ValidationError

from stages.core.errors import DataError
from stages.core.records import Judgements, SetAside
from stages.sources import DataSettings, Source, open_source

MAPPED = {"columns": {"answers": "answers"}}
RUN = "q1 Q0 d1 1 2.0 x\nq1 Q0 d2 2 1.0 x\nq2 Q0 d1 1 1.0 x\n"


def json_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def source_of(path: Path, **more: Any) -> Source:
    form = "parquet" if path.suffix == ".parquet" else "huggingface" if path.is_dir() else path.suffix[1:]
    return open_source(DataSettings.model_validate({"format": form, "path": str(path), **MAPPED, **more}))


def given(source: Source) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    aside: list[SetAside] = []
    found = source.answers(aside.append)
    assert found is not None
    return {query_id: one.texts for query_id, one in found.items()}, [row.reason for row in aside]


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("Rome", ("Rome",)),
        (["Rome", " Roma ", "Rome", ""], ("Rome", "Roma")),
        (1998, ("1998",)),
        ([1998.0, 2.5], ("1998", "2.5")),
        ({"text": ["Rome"], "answer_start": [3]}, ("Rome",)),
        ([{"text": "Rome", "answer_start": 3}, {"text": "Roma", "answer_start": 9}], ("Rome", "Roma")),
        ('["Rome", "the \\"city\\""]', ("Rome", 'the "city"')),
        ("['Rome', \"Rome's\"]", ("Rome", "Rome's")),
        ("[sic]", ("[sic]",)),
    ],
)
def test_every_form_of_answers_is_read(value: object, texts: tuple[str, ...], tmp_path: Path) -> None:
    rows = [{"query_id": "a", "query": "who", "documents": ["x"], "answers": value}]
    assert given(source_of(json_lines(tmp_path / "rows.jsonl", rows))) == ({"a": texts}, [])


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"value": "x", "aliases": ["y"]}, "answers: an object with value, aliases: map what holds a text, or a list"),
        ([["Rome"]], "answers: a list of lists: give one list for each query"),
        (True, "answers: neither a text nor a list of texts but bool"),
        ("\ud800", "answers: one cannot be encoded as UTF-8"),
    ],
)
def test_what_is_no_answer_is_set_aside_and_the_others_stay(value: object, reason: str, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"query_id": "a", "query": "who", "documents": ["x"], "answers": value},
        {"query_id": "b", "query": "why", "documents": ["x"], "answers": "so"},
        {"query_id": "c", "query": "how", "documents": ["x"], "answers": None},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert given(source_of(path)) == ({"b": ("so",)}, [reason])


def test_rows_of_pairs_of_parquet_of_csv_and_of_hugging_face_have_them_too(tmp_path: Path) -> None:
    pairs = [
        {"query_id": "a", "query": "who", "doc_id": doc_id, "text": "x", "answers": ["Rome", "Roma"]} for doc_id in "xy"
    ]
    pq.write_table(pa.Table.from_pylist(pairs), tmp_path / "rows.parquet")
    Dataset.from_list(pairs).save_to_disk(str(tmp_path / "saved"))
    (tmp_path / "rows.csv").write_text(
        "query_id,query,doc_id,text,answers\n"
        + "".join(f'a,who,{doc_id},x,"[""Rome"", ""Roma""]"\n' for doc_id in "xy")
    )
    sources = [json_lines(tmp_path / "rows.jsonl", pairs), tmp_path / "rows.parquet", tmp_path / "rows.csv"]
    for path in (*sources, tmp_path / "saved"):
        assert given(source_of(path)) == ({"a": ("Rome", "Roma")}, []), path


def test_pairs_of_one_query_with_other_answers_are_set_aside(tmp_path: Path) -> None:
    pairs = [
        {"query_id": "a", "query": "who", "doc_id": "x", "text": "x", "answers": "Rome"},
        {"query_id": "a", "query": "who", "doc_id": "y", "text": "y", "answers": None},
        {"query_id": "a", "query": "who", "doc_id": "z", "text": "z", "answers": "Milan"},
    ]
    aside: list[SetAside] = []
    source = source_of(json_lines(tmp_path / "rows.jsonl", pairs))
    [query] = source.queries(aside.append)
    assert [document.doc_id for document in query.documents] == ["x", "y"]
    assert [row.reason.split(" in ")[0] for row in aside] == ["other answers than"]


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    json_lines(tmp_path / "corpus.jsonl", [{"_id": "d1", "text": "Rome"}, {"_id": "d2", "text": "Milan"}])
    queries: list[dict[str, Any]] = [
        {"_id": "q1", "text": "who", "answers": ["Rome"]},
        {"_id": "q2", "text": "why", "metadata": {"answers": "so"}},
        {"_id": "q3", "text": "not retrieved", "answers": "x"},
    ]
    json_lines(tmp_path / "queries.jsonl", queries)
    (tmp_path / "run.trec").write_text(RUN)
    return tmp_path


def of_beir(folder: Path, **more: Any) -> Source:
    given = {"format": "beir", "path": str(folder), "run": folder / "run.trec", **MAPPED, **more}
    return open_source(DataSettings.model_validate(given))


def with_qrels(folder: Path) -> Path:
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td2\t1\n")
    return folder


def test_a_beir_folder_without_qrels_is_judged_by_the_answers_of_its_queries(beir: Path) -> None:
    source = of_beir(beir)
    assert given(source) == ({"q1": ("Rome",), "q2": ("so",), "q3": ("x",)}, [])
    assert source.judgements(lambda _: None) == Judgements({})
    [meeting] = source.meetings().values()
    assert list(meeting.remarks()) == ["1 of 3 judged queries has no candidates and counts as 0, such as 'q3'"]
    assert given(of_beir(beir, limit=1)) == ({"q1": ("Rome",)}, [])


def test_trec_needs_no_qrels_where_answers_judge(beir: Path) -> None:
    settings = DataSettings.model_validate(
        {
            "format": "trec",
            "run": beir / "run.trec",
            "queries": beir / "queries.jsonl",
            "documents": beir / "corpus.jsonl",
            **MAPPED,
        }
    )
    assert given(open_source(settings))[0]["q1"] == ("Rome",)


def test_two_kinds_of_judgements_are_refused_until_one_is_chosen(beir: Path, tmp_path: Path) -> None:
    folder = with_qrels(beir)
    with pytest.raises(DataError, match=r"qrels/test.tsv and data.columns.answers both judge: choose one with"):
        of_beir(folder)
    chosen = of_beir(folder, judgements="qrels")
    assert chosen.answers(lambda _: None) is None
    assert chosen.judgements(lambda _: None) == Judgements({"q1": {"d2": 1}})
    assert given(of_beir(folder, judgements="answers"))[0]["q1"] == ("Rome",)
    with pytest.raises(ValidationError, match=r"data.qrels and data.columns.answers are both given: choose one"):
        of_beir(folder, qrels=folder / "qrels" / "test.tsv")
    row = {"query_id": "a", "query": "who", "documents": [{"text": "x", "label": 1}], "answers": "Rome"}
    rows = json_lines(tmp_path / "rows.jsonl", [row])
    with pytest.raises(DataError, match=r"rows.jsonl:1: a relevance beside data.columns.answers: choose one"):
        given(source_of(rows))
    assert given(source_of(rows, judgements="answers")) == ({"a": ("Rome",)}, [])
    assert source_of(rows, judgements="qrels").judgements(lambda _: None).grades == {"a": {"d1": 1}}


def test_a_column_called_answers_is_none_until_it_is_named(tmp_path: Path) -> None:
    row = {"query_id": "a", "query": "who", "documents": [{"text": "x", "relevance": 1}], "answers": "Rome"}
    source = source_of(json_lines(tmp_path / "rows.jsonl", [row]), columns={})
    assert source.answers(lambda _: None) is None
    [query] = source.queries(lambda _: None)
    assert query.attributes == {"answers": "Rome"}


def test_a_missing_column_and_no_answer_at_all_are_refused(beir: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"queries.jsonl has no 'gold' for answers; got _id, text, answers"):
        given(of_beir(beir, columns={"answers": "gold"}))
    row = {"query_id": "a", "query": "who", "documents": ["x"], "answers": None}
    rows = json_lines(tmp_path / "rows.jsonl", [row])
    with pytest.raises(DataError, match="has no column 'gold' for answers"):
        source_of(rows, columns={"answers": "gold"})
    with pytest.raises(DataError, match="no query has an answer"):
        given(source_of(rows))
    with pytest.raises(ValidationError, match=r"data.judgements: answers needs their column"):
        source_of(rows, columns={}, judgements="answers")
