"""Qrels that say who judged: the mark is kept whatever the form, and a row that cannot be trusted is set aside."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.core.errors import DataError
from stages.core.judges import JudgedBy, judged_by
from stages.core.records import Judgements, SetAside
from stages.sources import DataSettings, open_source
from stages.sources.formats.nested import read_any_qrels

HEADER = "query-id\tcorpus-id\tscore\tjudged-by\tby-model\n"
JUDGE = "tiny@0123456789ab"
ROWS = f"q1\td1\t3\tpeople\t1\nq1\td 2\t0\tpeople\t\nq1\td3\t2\tmodel:{JUDGE}\t2\nq2\td1\t1\tmodel:{JUDGE}\t1\n"
MIXED = Judgements(
    {"q1": {"d1": 3, "d 2": 0, "d3": 2}, "q2": {"d1": 1}},
    judge=JUDGE,
    by_model={"q1": {"d1": 1, "d3": 2}, "q2": {"d1": 1}},
    by_people={"q1": {"d1": 3, "d 2": 0}},
)


def read(path: Path, text: str) -> tuple[Judgements, list[SetAside]]:
    aside: list[SetAside] = []
    path.write_text(text, encoding="utf-8")
    return read_any_qrels(path, aside.append), aside


def test_people_s_grades_and_a_model_s_are_told_apart(tmp_path: Path) -> None:
    found, aside = read(tmp_path / "qrels.tsv", HEADER + ROWS)
    assert found == MIXED
    assert not aside
    assert judged_by(found) == JudgedBy("both", JUDGE, 0, 2, 2, 2, 3)


def test_a_column_s_place_and_letters_do_not_matter_and_an_editor_may_cut_blank_ends(tmp_path: Path) -> None:
    text = f"Judged-By\tquery_id\tdoc_id\trelevance\tby_model\nmodel:{JUDGE}\tq2\td1\t1\t1\npeople\tq1\td 2\t0\n"
    found, aside = read(tmp_path / "qrels.tsv", text)
    assert found.by_people == {"q1": {"d 2": 0}}
    assert found.by_model == {"q2": {"d1": 1}}
    assert not aside


def test_without_by_model_the_scores_of_model_rows_are_the_model_s(tmp_path: Path) -> None:
    text = f"query-id\tcorpus-id\tscore\tjudged-by\nq1\td1\t3\tpeople\nq1\td2\t1\tmodel:{JUDGE}\n"
    found, _ = read(tmp_path / "qrels.tsv", text)
    assert (found.judge, found.by_model, found.by_people) == (JUDGE, {"q1": {"d2": 1}}, {"q1": {"d1": 3}})


def test_where_people_judged_every_pair_it_is_theirs_and_the_model_s_grades_are_kept(tmp_path: Path) -> None:
    found, _ = read(tmp_path / "qrels.tsv", HEADER + "q1\td1\t3\tpeople\t1\n")
    assert judged_by(found).by == "people"
    assert (found.judge, found.by_model) == ("unnamed", {"q1": {"d1": 1}})


def test_people_alone_are_judgements_as_any(tmp_path: Path) -> None:
    found, _ = read(tmp_path / "qrels.tsv", HEADER + "q1\td1\t3\tpeople\t\n")
    assert found == Judgements({"q1": {"d1": 3}})
    assert found.digest == Judgements({"q1": {"d1": 3}}).digest


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("q3\td1\t2\thuman\t2", "judged-by is neither people nor model:NAME: 'human'"),
        ("q3\td1\t2\tmodel:\t2", "judged-by is neither people nor model:NAME: 'model:'"),
        ("q3\td1\t2\t\t2", "judged-by is neither people nor model:NAME: ''"),
        ("q3\td1\tgood\tpeople\t2", "judgement is not an integer: 'good'"),
        ("q3\td1\t2\tpeople\tgood", "by-model is not an integer: 'good'"),
        (f"q3\td1\t2\tmodel:{JUDGE}\t1", "judged by the model with 2, and by-model is 1"),
        ("q1\td1\t3\tpeople\t1", "judged twice: the first judgement counts"),
        ("\td1\t3\tpeople\t1", "query or document id missing"),
        ("q3\td1\t3", "3 columns where the header has 5"),
    ],
)
def test_a_row_that_cannot_be_used_is_set_aside_with_its_reason(tmp_path: Path, row: str, reason: str) -> None:
    found, aside = read(tmp_path / "qrels.tsv", f"{HEADER}{ROWS}{row}\n")
    assert found == MIXED
    assert [(one.reason, one.where.line) for one in aside] == [(reason, 6)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (HEADER + ROWS + "q3\td1\t1\tmodel:other@ba9876543210\t1\n", "judged by other@ba9876543210, and at"),
        (ROWS, "its first line must be the header"),
        ("query-id\tcorpus-id\tscore\tby-model\nq1\td1\t1\t1\n", "a column by-model and none judged-by"),
        (HEADER + "q1\td1\t0.5\tpeople\t\n", "is a fraction"),
        (HEADER, "has no usable line"),
        (HEADER + "q1\td1\t1\thuman\t\n", "has no usable line: judged-by is neither"),
    ],
)
def test_what_cannot_be_told_apart_is_refused_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told) as refused:
        read(tmp_path / "qrels.tsv", text)
    assert "\n" not in str(refused.value)


def test_a_parquet_of_the_same_columns_keeps_the_mark(tmp_path: Path) -> None:
    columns = {
        "query-id": ["q1", "q1", "q1", "q2"],
        "corpus-id": ["d1", "d 2", "d3", "d1"],
        "score": [3, 0, 2, 1],
        "judged-by": ["people", "people", f"model:{JUDGE}", f"model:{JUDGE}"],
        "by-model": [1.0, float("nan"), 2.0, 1.0],
    }
    pq.write_table(pa.table(columns), tmp_path / "qrels.parquet")
    assert read_any_qrels(tmp_path / "qrels.parquet", pytest.fail) == MIXED


def test_the_data_s_own_qrels_keep_it_also_of_the_first_queries_alone(tmp_path: Path) -> None:
    (tmp_path / "qrels.tsv").write_text(HEADER + ROWS, encoding="utf-8")
    document = {"doc_id": "d1", "text": "y"}
    rows = [json.dumps({"query_id": one, "query": "x", "documents": [document]}) for one in ("q2", "q1")]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows), encoding="utf-8")
    settings = DataSettings(
        format="jsonl", path=str(tmp_path / "rows.jsonl"), qrels=str(tmp_path / "qrels.tsv"), limit=1
    )
    found = open_source(settings).judgements(pytest.fail)
    assert found == Judgements({"q2": {"d1": 1}}, judge=JUDGE, by_model={"q2": {"d1": 1}})


def test_rows_that_judge_their_own_documents_cannot_say_who_did(tmp_path: Path) -> None:
    row = '{"query": "x", "text": "y", "relevance": 1, "judged_by": "model:tiny"}\n'
    (tmp_path / "rows.jsonl").write_text(row, encoding="utf-8")
    source = open_source(DataSettings(format="jsonl", path=str(tmp_path / "rows.jsonl")))
    with pytest.raises(DataError, match="says who judged"):
        source.judgements(lambda _: None)
