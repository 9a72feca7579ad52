"""A file of which nothing can be used is refused with the first reason, its line, and how many share it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stages.core.errors import DataError
from stages.sources import DataSettings, open_source
from stages.sources.lines import read_objects
from stages.sources.run_index import QueryIds, open_run
from stages.sources.trec import read_qrels

FILES = {
    "run": "q1 Q0 d1 1 2.0 x\n",
    "qrels": "q1 0 d1 1\n",
    "queries": '{"_id": "q1", "text": "why"}\n',
    "documents": '{"_id": "d1", "text": "one"}\n',
}
ENDINGS = {"run": ".trec", "qrels": ".txt", "queries": ".jsonl", "documents": ".jsonl"}


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        (tmp_path / (name + ENDINGS[name])).write_text(content)
    return tmp_path


def told(folder: Path) -> str:
    """What reading everything in the folder raises."""
    files = {name: str(folder / (name + ending)) for name, ending in ENDINGS.items()}
    source = open_source(DataSettings.model_validate({"format": "trec", **files}))
    with pytest.raises(DataError) as error:
        print(source.judgements(lambda _: None), list(source.queries(lambda _: None)))
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


COMMAS = "".join(f"q1 Q0 d{place} {place} {12 - place},5 x\n" for place in range(3))
EIGHT = "".join(f"q1 Q0 d{place} {place} 2.5 x of today\n" for place in range(3))
REASONS = {
    ("run", EIGHT): "a run has 6 columns, this line 8 (line 1, 'q1 Q0 d0 0 2.5 x of today'; so are all 3)",
    ("run", COMMAS): "score is not a finite number: '12,5' (line 1, 'q1 Q0 d0 0 12,5 x'; so are all 3)",
    ("run", "\n# note\n" + COMMAS + EIGHT): "'12,5' (line 3, 'q1 Q0 d0 0 12,5 x'; so are 3 of 6)",
    ("run", '[{"q1": {"d1": 0.5}}]\n'): "it looks like JSON",
    ("run", '{"q1": ["d1"]}\n'): "under 'q1' stands no object of document ids and numbers; a run has {query id: {doc",
    ("run", "q1,Q0,d1,1,2.5,x\n"): "it looks like CSV: separate the columns by tabs",
    ("run", "<!DOCTYPE html>\n<p>404</p>\n"): "it looks like a web page: fetch the file itself",
    ("run", "# a comment\n\n"): "run.trec has no usable line: there is none but blank ones and comments",
    ("run", ""): "run.trec has no usable line",
    ("qrels", "q1 0 d1 high\nq1 0 d2 low\n"): (
        "judgement is not an integer: 'high' (line 1, 'q1 0 d1 high'; so are all 2); qrels have lines of"
    ),
    (
        "qrels",
        "q1 Q0 d1 1 2.5 x\n",
    ): "qrels have 3 or 4 columns, this line 6 (line 1, 'q1 Q0 d1 1 2.5 x'; the only one)",
    ("queries", '{"_id": "q1"\n{"_id": "q2"\n'): "not JSON: Expecting ',' delimiter",
    ("queries", "q1\twhy\n"): "not JSON: Expecting value: line 1 column 1 (char 0) (line 1, 'q1\\twhy'; the only one)",
    ("documents", '{"name": "d1", "text": "one"}\n'): (
        'no id; it stands under _id, id, doc_id, docid, docno, pid (line 1, \'{"name": "d1", "text": "one"}\''
    ),
}


@pytest.mark.parametrize(
    ("file", "content"), REASONS, ids=[f"{file} {place}" for place, (file, _) in enumerate(REASONS)]
)
def test_the_reason_of_the_first_line_is_told_with_the_line_and_how_many_share_it(
    collection: Path, file: str, content: str
) -> None:
    (collection / (file + ENDINGS[file])).write_text(content)
    error = told(collection)
    assert REASONS[file, content] in error
    assert str(collection / (file + ENDINGS[file])) in error


def test_a_long_line_is_cut_and_bytes_that_are_no_text_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"\xff\xfd\x00" + b"x" * 500 + b"\n")
    with (
        pytest.raises(DataError, match=r"not UTF-8: .* \(line 1, '\\\\xff\\\\xfd\\x00x{50,70}…; the only one\)"),
        open_run(tmp_path / "run", QueryIds(), print),
    ):
        pass


def test_rows_that_are_no_json_are_refused_alike(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("[1]\n[2]\n")
    with pytest.raises(
        DataError, match=r"rows\.jsonl has no usable line: not a JSON object but list \(line 1, '\[1\]'"
    ):
        open_source(DataSettings.model_validate({"format": "jsonl", "path": str(tmp_path / "rows.jsonl")}))


def test_a_file_that_has_one_good_line_is_read(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("q1 0 d1 high\nq1 0 d2 1\n")
    assert read_qrels(tmp_path / "qrels", lambda _: None).grades == {"q1": {"d2": 1}}
    (tmp_path / "rows.jsonl").write_text('nothing\n{"a": 1}\n')
    assert [record.fields for record in read_objects(tmp_path / "rows.jsonl", lambda _: None)] == [{"a": 1}]
