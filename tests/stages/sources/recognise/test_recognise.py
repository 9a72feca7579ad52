"""What a file is, what it holds, and the section that reads it; whatever it is, no traceback."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.sources import DataSettings, open_source
from stages.sources.recognise import Finding, Section, check, count, recognise, section_of
from tests.examples import examples

TREC_RUN = "q1 Q0 a 1 12.5 bm25\nq1 Q0 b 2 11.0 bm25\nq2 Q0 c 1 9.5 bm25\n"
QRELS = "q1 0 a 2\nq1 0 b 0\nq2 0 c 1\n"
QUERIES = "q1\twhy does it rain?\nq2\twhen do flights leave?\n"
DOCUMENTS = [{"id": one, "text": f"A document about {one}."} for one in "abc"]
ROW = {"query_id": "q1", "query": "why", "documents": [{"id": "a", "text": "one", "score": 2.0, "relevance": 1}]}


def look(*paths: Path) -> tuple[list[Finding], Section]:
    findings = [finding for path in paths for finding in recognise(path)]
    for finding in findings:
        count(finding)
    return findings, section_of(findings)


def of_text(folder: Path, name: str, text: str) -> tuple[Finding, Section]:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    (finding,), section = look(path)
    return finding, section


def in_lines(rows: Sequence[object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.mark.parametrize(
    ("name", "text", "told", "data"),
    [
        ("a.jsonl", in_lines([ROW]), "rows, one row per query with its documents", {"format": "jsonl"}),
        ("a.json", json.dumps([ROW], indent=1), "rows, one row per query with its documents", {"format": "json"}),
        (
            "a.csv",
            "query_id,query,doc_id,text\n1,why,d,x\n",
            "rows, one row per pair, separated by commas",
            {"format": "csv"},
        ),
        (
            "a.jsonl",
            in_lines([{"question": "why", "contexts": ["a", "b"], "answer": "so"}]),
            "rows, one row per query with its documents",
            {"format": "jsonl", "columns": {"query": "question", "documents": "contexts"}},
        ),
        (
            "a.jsonl",
            in_lines([{"user_input": "why", "retrieved_contexts": ["a"], "retrieved_context_ids": ["d"]}]),
            "rows, one row per query with its documents",
            {
                "format": "jsonl",
                "columns": {
                    "query": "user_input",
                    "documents": "retrieved_contexts",
                    "doc_ids": "retrieved_context_ids",
                },
            },
        ),
    ],
)
def test_rows_are_told_with_a_section_that_reads_them(
    name: str, text: str, told: str, data: dict[str, Any], tmp_path: Path
) -> None:
    finding, section = of_text(tmp_path, name, text)
    assert (finding.told, finding.remedy) == (told, "")
    assert section.data == {"format": data["format"], "path": str(tmp_path / name), **data}
    source = open_source(DataSettings.model_validate(section.data))
    assert sum(1 for _ in source.queries(lambda _: None)) == finding.counts["queries"] == 1


def test_qrels_that_say_who_judged_are_qrels(tmp_path: Path) -> None:
    text = "query-id\tcorpus-id\tscore\tjudged-by\tby-model\nq1\ta\t1\tpeople\t\nq2\tb\t1\tmodel:tiny\t1\n"
    finding, _ = of_text(tmp_path, "qrels.tsv", text)
    assert (finding.role, finding.told) == ("qrels", "judgements (qrels) that say who judged, people or a model")


def test_files_of_a_collection_are_put_together(tmp_path: Path) -> None:
    texts = {"bm25.trec": TREC_RUN, "qrels.txt": QRELS, "topics.tsv": QUERIES, "corpus.jsonl": in_lines(DOCUMENTS)}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    findings, section = look(*(tmp_path / name for name in texts))
    assert [finding.counts for finding in findings] == [
        {"queries": 2, "candidates": 3, "longest list": 2},
        {"judged queries": 2, "judgements": 3},
        {"queries": 2},
        {"documents": 3},
    ]
    assert (section.missing, section.unsure) == ([], [])
    assert section.data == {
        "format": "trec",
        "run": f"{tmp_path}/bm25.trec",
        "queries": f"{tmp_path}/topics.tsv",
        "documents": f"{tmp_path}/corpus.jsonl",
        "qrels": f"{tmp_path}/qrels.txt",
    }
    assert look(tmp_path)[1].data == section.data


def test_of_a_part_of_a_collection_the_missing_files_are_named(tmp_path: Path) -> None:
    _, section = of_text(tmp_path, "run.trec", TREC_RUN)
    assert section.missing == ["queries", "documents", "qrels"]


def test_several_runs_get_names(tmp_path: Path) -> None:
    for name in ("bm25.trec", "dense.trec"):
        (tmp_path / name).write_text(TREC_RUN)
    assert look(tmp_path)[1].data == {
        "format": "trec",
        "runs": {name: f"{tmp_path}/{name}.trec" for name in ("bm25", "dense")},
    }


def test_rows_in_several_files_are_read_as_one_folder_unless_it_holds_others(tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_text(in_lines([ROW]))
    assert look(tmp_path)[1].data == {"format": "jsonl", "path": str(tmp_path)}
    (tmp_path / "c.jsonl").write_text(in_lines([{"query": "why", "pos": ["a"], "neg": ["b"]}]))
    section = look(tmp_path)[1]
    assert section.data == {"format": "jsonl", "path": f"{tmp_path}/a.jsonl"}
    assert "a run reads one of these" in section.unsure[0]


def test_of_rows_none_of_which_can_be_used_the_first_fault_is_told(tmp_path: Path) -> None:
    finding, section = of_text(tmp_path, "a.jsonl", in_lines([{"query": "why", "documents": json.dumps(["x"])}]))
    assert section.data is None
    assert "a.jsonl:1: documents is not a list but str (JSON written as text: decode it)" in finding.remedy
    finding, _ = of_text(tmp_path, "a.csv", "query_id,query,doc_id,text\n")
    assert "it has no row" in finding.remedy


def test_the_section_chooses_none_of_two_document_ids(tmp_path: Path) -> None:
    """MS MARCO's docid is the document that a passage is of."""
    row = {"qid": "1", "query": "why", "docid": "d1", "pid": "p1", "body": "one"}
    finding, section = of_text(tmp_path, "a.jsonl", in_lines([row]))
    assert section.data is None
    assert "several could be doc_id, map one under data.columns: docid, pid" in finding.remedy
    _, section = of_text(tmp_path, "b.jsonl", in_lines([{name: row[name] for name in row if name != "docid"}]))
    assert "columns" not in (section.data or {"columns": None})


def test_a_run_is_counted_as_it_will_be_read(tmp_path: Path) -> None:
    text = 'q1 Q0 "a ""b"" c" 0 2.0 pyterrier\nq1 Q0 "x y" 1 1.0 pyterrier\nq1 Q0 "x y" 2 0.5 pyterrier\n'
    finding, _ = of_text(tmp_path, "a.trec", text)
    assert (finding.told, finding.counts["candidates"]) == ("a TREC run", 2)
    assert finding.set_aside == {"duplicate document id within the query": 1}


def test_judgements_of_other_queries_than_those_of_rows_are_told_and_files_that_rows_do_not_need(
    tmp_path: Path,
) -> None:
    (tmp_path / "a.jsonl").write_text(in_lines([ROW]))
    (tmp_path / "qrels.txt").write_text("zz 0 a 1\n")
    (tmp_path / "run.trec").write_text(TREC_RUN)
    _, section = look(tmp_path / "a.jsonl", tmp_path / "qrels.txt", tmp_path / "run.trec")
    check(section)
    assert ["not used" in section.unsure[0], "no query in common" in section.unsure[1]] == [True, True]


def test_files_that_do_not_belong_together_are_told(tmp_path: Path) -> None:
    for name, text in {
        "run.trec": TREC_RUN,
        "qrels.txt": QRELS.replace("q", "query-"),
        "topics.tsv": QUERIES,
        "corpus.jsonl": in_lines(DOCUMENTS),
    }.items():
        (tmp_path / name).write_text(text)
    section = look(tmp_path)[1]
    check(section)
    assert "have no query in common" in section.unsure[0]


def test_a_beir_folder_is_one_collection_with_the_runs_beside_it(tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "dev.tsv").write_text("query-id\tcorpus-id\tscore\nq1\ta\t1\n")
    (tmp_path / "corpus.jsonl.gz").write_bytes(gzip.compress(in_lines(DOCUMENTS).encode()))
    (tmp_path / "queries.jsonl").write_text(in_lines([{"_id": "q1", "text": "why"}]))
    (tmp_path / "bm25.trec").write_text(TREC_RUN)
    (finding, run), section = look(tmp_path)
    assert finding.counts == {"queries": 1, "documents": 3, "judged queries": 1, "judgements": 1}
    assert run.told == "a TREC run"
    assert section.data == {
        "format": "beir",
        "path": str(tmp_path),
        "split": "dev",
        "run": f"{tmp_path}/bm25.trec",
    }


def test_parquet_and_what_datasets_saved_are_told(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([ROW, ROW | {"query_id": "q2"}]), tmp_path / "rows.parquet")
    (finding,), section = look(tmp_path / "rows.parquet")
    assert finding.counts["queries"] == 2
    assert section.data == {"format": "parquet", "path": f"{tmp_path}/rows.parquet"}
    rows = Dataset.from_list([{"query": "why", "positive": ["A"], "negative": ["B"]}])
    DatasetDict({"dev": rows}).save_to_disk(str(tmp_path / "saved"))
    (finding,), section = look(tmp_path / "saved")
    assert section.data == {
        "format": "sentence_transformers",
        "path": f"{tmp_path}/saved",
        "depth": None,
        "split": "dev",
    }
    assert "no first stage" in finding.unsure[0]


@pytest.mark.parametrize(
    ("text", "told", "unsure"),
    [
        (
            "q1\ta\t1\nq1\tb\t2\nq2\tc\t1\n",
            "a run of three columns, the third a rank",
            "as Pyserini and MS MARCO write",
        ),
        ("q1\ta\t0\nq1\tb\t1\n", "a run of three columns, the third a rank", "set data.run_columns"),
        ("q1\ta\t12.3\nq1\tb\t11\n", "a run of three columns, the third a score", "as Tevatron writes it"),
        ("q1\ta\t1.5\nq1\tb\t11\n", "a run of three columns, the third a score", "neither counts up nor falls"),
        ("q1\ta\t1\nq2\tb\t1\n", "judgements (qrels) as BEIR has them", "or ranks of a run with one each"),
    ],
)
def test_whether_a_third_column_is_a_rank_or_a_score_is_said_to_be_a_guess(
    text: str, told: str, unsure: str, tmp_path: Path
) -> None:
    finding, section = of_text(tmp_path, "run.tsv", text)
    assert finding.told == told
    assert unsure in finding.unsure[0]
    assert finding.role == "qrels" or section.data == {
        "format": "trec",
        "run": f"{tmp_path}/run.tsv",
        "run_columns": ["query_id", "doc_id", told.rpartition(" ")[2]],
    }


def test_a_run_of_three_columns_is_read_as_its_section_says(tmp_path: Path) -> None:
    (tmp_path / "run.tsv").write_text("q1\tb\t1\nq1\ta\t2\nq2\tc\t1\n")
    for name, text in {"qrels.txt": QRELS, "topics.tsv": QUERIES, "corpus.jsonl": in_lines(DOCUMENTS)}.items():
        (tmp_path / name).write_text(text)
    _, section = look(tmp_path)
    check(section)
    assert section.unsure == []
    first, _ = open_source(DataSettings.model_validate(section.data)).queries(lambda _: None)
    assert [document.doc_id for document in first.documents] == ["b", "a"]


def test_runs_and_judgements_of_ranx_are_told(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"q1": {"a": 0.5, "b": 0.1}, "q2": {"c": 1.5}}, indent=1))
    (tmp_path / "qrels.json").write_text(json.dumps({"q1": {"a": 2, "b": 0}, "q2": {"c": 1}}))
    pq.write_table(pa.Table.from_pylist([{"q_id": "q1", "doc_id": "a", "score": 0.5}]), tmp_path / "table.parquet")
    found = {Path(finding.path).name: finding for finding in look(tmp_path)[0]}
    assert {name: (one.role, one.remedy) for name, one in found.items()} == {
        "run.json": ("run", ""),
        "qrels.json": ("qrels", ""),
        "table.parquet": ("run", ""),
    }
    assert found["run.json"].counts == {"queries": 2, "candidates": 3, "longest list": 2}
    assert "taken for grades" in found["qrels.json"].unsure[0]


def test_a_folder_of_ms_marco_is_one_collection(tmp_path: Path) -> None:
    (tmp_path / "collection.tsv").write_text("1\tRain falls from clouds.\n2\tBread needs yeast.\n")
    (tmp_path / "queries.dev.small.tsv").write_text("7\twhy does it rain\n")
    (tmp_path / "qrels.dev.small.tsv").write_text("7\t0\t1\t1\n")
    (tmp_path / "top1000.dev.small.tsv").write_text("7\t1\twhy does it rain\tRain falls from clouds.\n")
    _, section = look(tmp_path)
    assert section.data == {"format": "msmarco", "path": str(tmp_path), "split": "dev.small"}
    check(section)
    assert "top1000 names candidates alone" in section.unsure[0]


@pytest.mark.parametrize(
    ("text", "told", "remedy"),
    [
        ("", "an empty file", "give one"),
        ("# a comment\n", "comments alone", "give one"),
        ("once upon a time\nthere was no table\n", "text in no known columns", "a run has lines of"),
        ('{"a": 1}\n', "records with the keys a", "rows need query"),
        ("[project]\nname = 1\n", "text in no known columns", "a run has lines of"),
        ("[1, 2]", "JSON without an object", "an array of objects"),
        ('{"qid": "1", "docid": "2", "relevance": 1}\n', "judgements, a JSON object each", "write them as lines"),
        (
            '{"query": {"text": "a", "qid": "1"}, "invocations_history": []}\n',
            "rank_llm's history",
            "requests or results",
        ),
    ],
)
def test_what_is_not_read_is_told_with_what_to_give_instead(text: str, told: str, remedy: str, tmp_path: Path) -> None:
    finding, section = of_text(tmp_path, "file", text)
    assert finding.told.startswith(told)
    assert remedy in finding.remedy
    assert section.data is None


def test_of_damaged_json_it_is_said_where_it_breaks(tmp_path: Path) -> None:
    finding, _ = of_text(tmp_path, "rows.json", '[{"a": 1}')
    assert (finding.told, "rows.json:1: the file ends within" in finding.remedy) == ("a file that cannot be read", True)


def test_a_line_without_an_end_does_not_take_all_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.sources.recognise.head.LONGEST_LINE", 2**21)
    finding, _ = of_text(tmp_path, "rows.jsonl", in_lines([ROW]) + "x" * (2**21 + 1))
    assert "rows.jsonl:2: a line of more than 2,097,152 bytes" in finding.remedy


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        recognise(tmp_path / "nowhere")
    with pytest.raises(DataError, match="holds no file"):
        recognise(tmp_path)
    with pytest.raises(DataError, match="no file that can be read twice"):
        recognise(Path("/dev/zero"))


@examples(200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200),
    start=st.sampled_from([b"", b"[", b'[{"a":', b"PAR1", b"\x1f\x8b\x08", b"\x89PNG", b"q1 Q0 a 1 ", b"\xff\xfe"]),
)
@example(content=b"\0", start=b"")
@example(content=b"\xff", start=b"a,b\n")
@example(content=b"[" * 100_000, start=b"")
@example(content=b'{"a":' * 20_000, start=b"")
@example(content=b'"', start=b"query,text\n")
def test_whatever_a_file_holds_it_is_told(content: bytes, start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(start + content)
    (finding,), section = look(path)
    assert finding.told
    assert section.data or finding.remedy
