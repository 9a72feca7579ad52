"""Texts are found under the names that collections have, joined as their own tools do, or told with what is there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from stages.core.errors import DataError
from stages.core.records import SetAside
from stages.sources import DataSettings, open_source
from stages.sources.text_keys import DOCUMENTS, QUERIES

DOCUMENT_FORMS: dict[str, tuple[Mapping[str, object], str]] = {
    "BEIR": ({"_id": "d1", "title": "Title", "text": "Clouds.", "metadata": {"id": 7}}, "Title Clouds."),
    "BEIR beside others": ({"_id": "d1", "id": "x", "text": "Clouds.", "contents": "no"}, "Clouds."),
    "Tevatron": ({"docid": "d1", "title": "Title", "text": "Clouds."}, "Title Clouds."),
    "Pyserini": ({"id": "d1", "contents": "Title\nClouds.", "url": "u"}, "Title\nClouds."),
    "Pyserini with its title": ({"id": "d1", "title": "Title", "contents": "Title\nClouds."}, "Title\nClouds."),
    "PyTerrier": ({"docno": "d1", "text": "Clouds."}, "Clouds."),
    "ir_datasets export": ({"doc_id": "d1", "text": "Clouds."}, "Clouds."),
    "MS MARCO v2 passage": (
        {"pid": "d1", "passage": "Clouds.", "spans": "(0,7)", "docid": "msmarco_doc_00_0"},
        "Clouds.",
    ),
    "MS MARCO v2 document": (
        {"docid": "d1", "url": "u", "title": "Title", "headings": "One\nTwo", "body": "Clouds."},
        "Title One\nTwo Clouds.",
    ),
    "MS MARCO v2.1 segment": (
        {"docid": "d1", "url": "u", "title": "Title", "headings": "", "segment": "Clouds.", "start_char": 0},
        "Title Clouds.",
    ),
    "numbered": ({"id": 1, "content": "Clouds."}, "Clouds."),
    "the same text twice": ({"id": "d1", "text": "Clouds.", "content": "Clouds.", "body": ""}, "Clouds."),
    "null": ({"id": "d1", "text": None}, ""),
    "none": ({"id": "d1", "title": "Title", "abstract": "Clouds."}, ""),
}


@pytest.mark.parametrize("form", DOCUMENT_FORMS)
def test_a_document_is_read_under_the_names_of_its_collection(form: str) -> None:
    fields, text = DOCUMENT_FORMS[form]
    assert DOCUMENTS.id_of(fields) == ("1" if form == "numbered" else "d1")
    assert DOCUMENTS.document(fields) == text


QUERY_FORMS: dict[str, tuple[Mapping[str, object], str]] = {
    "BEIR": ({"_id": "q1", "text": "why", "title": "no"}, "why"),
    "MTEB": ({"id": "q1", "text": "why"}, "why"),
    "Tevatron": ({"query_id": "q1", "query_text": "why"}, "why"),
    "Pyserini": ({"qid": "q1", "query": "why"}, "why"),
    "TREC": ({"id": "q1", "title": "why", "description": "long", "narrative": "longer"}, "why"),
    "TREC RAG 2025": ({"id": "q1", "narrative": "why"}, "why"),
}


@pytest.mark.parametrize("form", QUERY_FORMS)
def test_a_query_is_read_under_the_names_of_its_collection(form: str) -> None:
    fields, text = QUERY_FORMS[form]
    assert QUERIES.id_of(fields) == "q1"
    key = QUERIES.text_key(fields)
    assert key is not None and fields[key] == text


def test_two_ids_or_two_texts_that_differ_are_told_with_their_names() -> None:
    with pytest.raises(ValueError, match=r"two ids, under id and docid; .*: data.columns: \{doc_id: ITS_KEY\}"):
        DOCUMENTS.id_of({"id": "a", "docid": "b"})
    with pytest.raises(ValueError, match=r"two texts, under text and body; .*: data.columns: \{text: ITS_KEY\}"):
        DOCUMENTS.text_key({"id": "a", "text": "one", "body": "another"})
    assert DOCUMENTS.id_of({"id": 7, "docid": "7"}) == "7"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run.trec").write_text("q1 Q0 d1 1 2.0 x\nq1 Q0 d2 2 1.0 x\n")
    (tmp_path / "qrels.txt").write_text("q1 0 d1 1\n")
    write(tmp_path / "queries.jsonl", {"_id": "q1", "text": "why"})
    write(tmp_path / "corpus.jsonl", {"_id": "d1", "text": "one"}, {"_id": "d2", "text": "two"})
    return tmp_path


def write(path: Path, *records: Mapping[str, object]) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def read(folder: Path, documents: str = "corpus.jsonl", **more: object) -> tuple[str, list[object], list[SetAside]]:
    """The query, its documents' texts, and what was set aside."""
    files = {"run": "run.trec", "qrels": "qrels.txt", "queries": "queries.jsonl", "documents": documents}
    paths = {name: str(folder / file) for name, file in files.items()}
    aside: list[SetAside] = []
    (query,) = open_source(DataSettings.model_validate({"format": "trec", **paths, **more})).queries(aside.append)
    return str(query.query), [document.text for document in query.documents], aside


def test_a_record_with_two_texts_is_set_aside_and_data_columns_says_which_counts(folder: Path) -> None:
    two = {"id": "d1", "text": "one", "body": "whole"}
    write(folder / "corpus.jsonl", two, {"id": "d2", "text": "two"})
    _, texts, aside = read(folder)
    assert texts == [None, "two"]
    assert [(row.where.line, row.doc_id, row.reason.split(";")[0]) for row in aside] == [
        (1, "d1", "two texts, under text and body")
    ]
    assert read(folder, columns={"text": "body"})[1] == ["whole", ""]
    write(folder / "corpus.jsonl", two)
    with pytest.raises(DataError, match=r"corpus\.jsonl:1: two texts, under text and body; name the one that counts"):
        read(folder)
    write(folder / "queries.jsonl", {"id": "q1", "query": "why", "question": "who"})
    with pytest.raises(DataError, match=r"queries\.jsonl:1: two texts, under query and question"):
        read(folder)
    write(folder / "queries.jsonl", {"id": "q1", "query": "why"})
    write(folder / "corpus.jsonl", {"nr": 1, "d": "d1", "abstract": "one", "h": "A"}, {"d": "d2", "abstract": "two"})
    mapped = {"doc_id": "d", "text": "abstract", "title": "h"}
    assert read(folder, columns=mapped)[1] == ["A one", "two"]


def test_where_no_document_has_a_text_the_keys_that_are_there_are_told(folder: Path) -> None:
    write(folder / "corpus.jsonl", {"id": "d1", "doc": {"contents": "one", "url": "u"}}, {"id": "d2", "doc": {}})
    told = (
        r"corpus\.jsonl: no document has a text, which stands under text, contents, .*; line 1 has id, doc \(contents, "
    )
    with pytest.raises(DataError, match=told + r"url\)\. Name the one that holds it: data.columns: \{text: ITS_KEY\}"):
        read(folder)


def test_where_no_query_has_a_text_the_keys_that_are_there_are_told(folder: Path) -> None:
    write(folder / "queries.jsonl", {"id": "q1", "utterance": "why"})
    with pytest.raises(DataError, match=r"queries\.jsonl: no query has a text, .*line 1 has id, utterance"):
        read(folder)
    assert read(folder, columns={"query": "utterance"})[0] == "why"


def test_a_title_alone_is_no_text_of_a_document(folder: Path) -> None:
    write(
        folder / "corpus.jsonl", {"id": "d1", "title": "A", "abstract": "x"}, {"id": "d2", "title": "B", "text": "two"}
    )
    assert read(folder)[1] == ["", "B two"]


def test_what_names_a_query_or_is_its_text_is_no_attribute(folder: Path) -> None:
    write(folder / "queries.jsonl", {"qid": "q1", "title": "why", "language": "de"})
    files = {"run": "run.trec", "qrels": "qrels.txt", "queries": "queries.jsonl", "documents": "corpus.jsonl"}
    settings = {"format": "trec", **{name: str(folder / file) for name, file in files.items()}}
    (query,) = open_source(DataSettings.model_validate(settings)).queries(print)
    assert query.attributes == {"language": "de"}


@pytest.mark.parametrize(
    "content",
    [
        '[\n  {"id": "d1", "contents": "one"},\n  {"id": "d2", "contents": "two"}\n]\n',
        '{\n  "id": "d1",\n  "contents": "one"\n}\n{\n  "id": "d2",\n  "contents": "two"\n}\n',
        '{"id": "d1", "contents": "one"}{"id": "d2",\n "contents": "two"}',
        '{"id": "d1", "contents": "one"}{"id": "d2", "contents": "two"}',
    ],
    ids=["array", "objects over lines", "objects that run together", "all in one line"],
)
def test_a_corpus_is_an_array_or_objects_one_after_the_other_as_pyserinis_are(folder: Path, content: str) -> None:
    (folder / "corpus.json").write_text(content)
    assert read(folder, "corpus.json")[1:] == (["one", "two"], [])


def test_a_text_may_hold_quotes_and_blank_columns_may_follow_it(folder: Path) -> None:
    (folder / "docs.tsv").write_text('d1\tSome "text\t\t \nd2\t"More"\n')  # MS MARCO has no quoting
    assert read(folder, "docs.tsv")[1] == ['Some "text', '"More"']


def test_more_columns_are_read_where_a_first_line_names_them(folder: Path) -> None:
    (folder / "docs.tsv").write_text("id\ttext\ttitle\nd1\tClouds.\tA\nd2\tSun.\t\n")  # as DPR's psgs_w100.tsv
    assert read(folder, "docs.tsv")[1] == ["A Clouds.", "Sun."]
    (folder / "docs.tsv").write_text("d1\thttp://a\tA\tClouds.\nd2\thttp://b\tB\tSun.\n")
    told = r"not `id<TAB>text`: 4 columns \(a first line may name them\) \(line 1, 'd1\\thttp://a\\tA\\tClouds\.'; so "
    with pytest.raises(DataError, match=told + r"are all 2\)"):
        read(folder, "docs.tsv")


def test_of_a_text_with_a_tab_in_it_the_line_is_told_and_the_others_are_read(folder: Path) -> None:
    (folder / "docs.tsv").write_text("d1\tone\tand a tab\nd2\ttwo\n")
    _, texts, aside = read(folder, "docs.tsv")
    assert texts == [None, "two"]
    assert [(row.where.line, row.reason) for row in aside] == [
        (1, "not `id<TAB>text`: 3 columns (a first line may name them)")
    ]
