"""MS MARCO's files as they are published: no header, no quoting."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from stages.core.errors import DataError
from tests.prepared import taken

COLLECTION = '7\t"Some text" with quotes\n12\tClouds rain.\n007\tAnother one\'s\n'
TOP1000 = 'q\t7\twhy rain\t"Some text" with quotes\nq\t12\twhy rain\tClouds rain.\nq\t007\twhy rain\tAnother\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "collection.tsv").write_text(COLLECTION)
    (tmp_path / "queries.dev.small.tsv").write_text('q\twhy rain\nr\t"quoted\n')
    (tmp_path / "qrels.dev.small.tsv").write_text("q\t0\t12\t1\n")
    return tmp_path


def test_a_folder_is_read_with_a_run_and_quotes_are_text(folder: Path) -> None:
    (folder / "bm25.trec").write_text("q Q0 7 1 9 x\nq Q0 12 2 8 x\nr Q0 007 1 5 x\n")
    found = taken(format="msmarco", path=str(folder), run=folder / "bm25.trec")
    assert found.lists() == {"q": ["7", "12"], "r": ["007"]}
    assert found.texts() == {"7": '"Some text" with quotes', "12": "Clouds rain.", "007": "Another one's"}
    assert found.candidates["r"].query == '"quoted'
    assert (found.grades, found.set_aside) == ({"q": {"12": 1}}, [])


def test_a_run_of_three_columns_is_read_by_rank(folder: Path) -> None:
    """As MS MARCO's own evaluation and Pyserini 2.3.0's `--output-format msmarco` have it."""
    (folder / "run.tsv").write_text("q\t7\t2\nq\t12\t1\nq\t007\t10\n")
    columns = ["query_id", "doc_id", "rank"]
    found = taken(format="msmarco", path=str(folder), run=folder / "run.tsv", run_columns=columns)
    assert found.lists() == {"q": ["12", "7", "007"]}


def test_top1000_is_what_to_rerank_in_no_order_and_so_it_is_told(folder: Path) -> None:
    (folder / "top1000.dev.tsv").write_text(TOP1000)
    found = taken(format="msmarco", path=str(folder))
    (folder / "top1000.dev.tsv").write_text("".join(reversed(TOP1000.splitlines(keepends=True))))
    assert sorted(found.lists()["q"]) == ["007", "12", "7"]
    assert found.lists() == taken(format="msmarco", path=str(folder)).lists()
    assert found.remarks == [
        "the first stage has no order (top1000 names candidates alone): it was shuffled, and its values say nothing"
    ]


def test_a_depth_that_would_cut_what_has_no_order_is_refused(folder: Path) -> None:
    (folder / "top1000.dev").write_text(TOP1000)
    with pytest.raises(DataError, match=r"'q' has 3 candidates in no order .* Set data.depth to null, or give a rank"):
        taken(format="msmarco", path=str(folder), depth=2)
    assert len(taken(format="msmarco", path=str(folder), depth=None).lists()["q"]) == 3


def test_several_splits_are_told_apart_by_name_and_by_data_split(folder: Path) -> None:
    for name in ("queries.train.tsv", "queries.dev.tsv"):
        (folder / name).write_text("q\tanother split\n")
    (folder / "run").write_text("q Q0 7 1 9 x\n")
    given = {"format": "msmarco", "path": str(folder), "run": folder / "run"}
    for split, query in (("dev.small", "why rain"), ("dev", "another split")):
        assert taken(**given, split=split).candidates["q"].query == query
    with pytest.raises(DataError, match=r"data.split: .* several files of queries for 'test': queries.dev.small.tsv, "):
        taken(**given)


def test_version_2_has_passages_under_pid_whose_docid_is_the_document(tmp_path: Path) -> None:
    passages = tmp_path / "msmarco_v2_passage"
    passages.mkdir()
    row = {"pid": "msmarco_passage_00_1", "passage": "Rain.", "spans": "(0,5)", "docid": "msmarco_doc_00_9"}
    (passages / "msmarco_passage_00.gz").write_bytes(gzip.compress(json.dumps(row).encode() + b"\n"))
    (tmp_path / "passv2_dev_queries.tsv").write_text("q\twhy\n")
    (tmp_path / "passv2_dev_qrels.tsv").write_text("q\t0\tmsmarco_passage_00_1\t1\n")
    (tmp_path / "run.txt").write_text("q Q0 msmarco_passage_00_1 1 9 x\n")
    found = taken(format="msmarco", path=str(tmp_path), run=tmp_path / "run.txt", split="dev")
    assert found.texts() == {"msmarco_passage_00_1": "Rain."}


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("msmarco-docs.tsv", "D1\thttp://u\tTitle\tBody of it\n", "Title Body of it"),
        ("msmarco_v2_doc.jsonl", {"docid": "D1", "url": "u", "title": "T", "headings": "H", "body": "B"}, "T H B"),
        (
            "msmarco_v2.1_doc.json",
            {"docid": "D1", "title": "T", "headings": "H", "segment": "S", "end_char": 9},
            "T H S",
        ),
    ],
)
def test_documents_are_title_headings_and_body_as_ir_datasets_has_them(
    tmp_path: Path, name: str, content: object, text: str
) -> None:
    (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content) + "\n")
    (tmp_path / "queries.tsv").write_text("q\twhy\n")
    (tmp_path / "qrels.tsv").write_text("q\t0\tD1\t1\n")
    (tmp_path / "run.txt").write_text("q Q0 D1 1 9 x\n")
    assert taken(format="msmarco", path=str(tmp_path), run=tmp_path / "run.txt").texts() == {"D1": text}


def test_what_is_missing_is_named_with_the_setting_that_gives_it(folder: Path) -> None:
    with pytest.raises(DataError, match=r"needs a first stage: give data.run .* which has none"):
        taken(format="msmarco", path=str(folder))
    (folder / "collection.tsv").unlink()
    with pytest.raises(DataError, match=r"has no collection.tsv and no passages or documents; give data.documents"):
        taken(format="msmarco", path=str(folder))
    (folder / "qrels.dev.small.tsv").unlink()
    with pytest.raises(DataError, match=r"has no qrels.tsv; give data.qrels"):
        taken(format="msmarco", path=str(folder))
