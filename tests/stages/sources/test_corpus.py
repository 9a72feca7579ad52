"""Texts come from the file as they stood in the corpus, by id, and never another document's."""

from __future__ import annotations

import gzip
import json
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.core.prepare import Report
from stages.core.records import Location, RawDocument, SetAside
from stages.sources import corpus as corpus_module
from stages.sources import id_set
from stages.sources.corpus import Corpus
from stages.sources.id_set import IdSet
from stages.sources.texts import read_records
from tests.examples import examples
from tests.full_disk import files_of_at_most_64_kib

IN_RUN = Location("run.trec", 7)


def open_corpus(path: Path, wanted: IdSet, set_aside: Report) -> AbstractContextManager[Corpus]:
    return corpus_module.open_corpus(str(path), read_records(path, set_aside), wanted, set_aside)


def written(path: Path, texts: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps({"_id": doc_id, "text": text}) + "\n" for doc_id, text in texts.items()))
    return path


def joined(path: Path, doc_ids: list[str], wanted: list[str] | None = None) -> list[tuple[object, Location]]:
    """The text of each document, and where it would be reported."""
    aside: list[SetAside] = []
    with open_corpus(path, IdSet(doc_ids if wanted is None else wanted), aside.append) as corpus:
        documents = list(corpus.join(RawDocument(doc_id, None, 1.0, IN_RUN) for doc_id in doc_ids))
    assert aside == []
    return [(document.text, document.where) for document in documents]


def test_a_text_that_can_be_used_is_reported_where_the_run_names_it_another_one_where_it_stands(tmp_path: Path) -> None:
    texts: dict[str, object] = {"a": "text", "b": " ", "c": 5, "d": ["x"], "e": None, "f": True, "g": "\ud800"}
    path = written(tmp_path / "corpus.jsonl", texts)
    here = [Location(str(path), line) for line in range(1, 8)]
    assert joined(path, list(texts)) == [
        ("text", IN_RUN),
        (" ", here[1]),
        (5, here[2]),
        ([], here[3]),
        ("", here[4]),
        (True, here[5]),
        ("\ud800", IN_RUN),
    ]


def test_a_document_that_is_not_wanted_or_not_there_gets_no_text(tmp_path: Path) -> None:
    path = written(tmp_path / "corpus.jsonl", {"a": "text", "b": "text", "\ud800": "text"})
    assert joined(path, ["a", "b", "c"], wanted=["b", "c"]) == [(None, IN_RUN), ("text", IN_RUN), (None, IN_RUN)]
    assert joined(path, ["a"], wanted=[]) == [(None, IN_RUN)]


@pytest.mark.parametrize("size", [1, 40, corpus_module.READ_BYTES])
def test_texts_are_found_however_many_and_long_they_are(tmp_path: Path, size: int) -> None:
    texts: dict[str, object] = {f"d{number}": f"text {number} 文" * (size + number % 3) for number in range(300)}
    path = written(tmp_path / "corpus.jsonl", texts)
    assert joined(path, list(texts)) == [(text, IN_RUN) for text in texts.values()]


def test_the_temporary_folder_is_gone_at_the_end_also_after_an_error(tmp_path: Path, temporary: Path) -> None:
    path = written(tmp_path / "corpus.jsonl", {"a": "text"})
    with open_corpus(path, IdSet(["a"]), lambda _: None):
        assert len(list(temporary.iterdir())) == 1
    assert list(temporary.iterdir()) == []
    path.write_text("")
    with pytest.raises(DataError, match="unknown ending"), open_corpus(tmp_path / "c.xml", IdSet([]), lambda _: None):
        pass
    assert list(temporary.iterdir()) == []


def test_a_full_disk_is_an_error_that_says_to_set_tmpdir(tmp_path: Path, temporary: Path) -> None:
    path = tmp_path / "corpus.tsv.gz"
    path.write_bytes(gzip.compress(b"a\t" + b"long " * 20_000))
    told = r"cannot write temporary files: .*; set TMPDIR to a folder with room"
    with files_of_at_most_64_kib(), pytest.raises(DataError, match=told):
        joined(path, ["a"])
    assert list(temporary.iterdir()) == []


def test_a_temporary_folder_that_is_not_there_is_the_same_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(DataError, match="set TMPDIR"):
        joined(written(tmp_path / "corpus.jsonl", {"a": "text"}), ["a"])


def test_a_set_knows_each_of_its_ids_and_no_other() -> None:
    ids = IdSet(f"d{number % 3000}" for number in range(9000))
    assert len(ids) == 3000
    assert sorted(place for number in range(3000) if (place := ids.place(f"d{number}")) is not None) == [*range(3000)]
    assert [ids.place(f"e{number}") for number in range(3000)] == [None] * 3000
    asked = [f"{kind}{number}" for number in range(-3, 3005) for kind in "de"]
    one_by_one = [-1 if (place := ids.place(doc_id)) is None else place for doc_id in asked]
    assert ids.places(asked).tolist() == one_by_one
    assert ids.places([]).tolist() == [] and IdSet([]).places(["d1"]).tolist() == [-1]


def test_a_set_is_the_same_however_often_it_was_merged_while_it_was_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"d{number % 700}" for number in range(2000)]
    whole = IdSet(names)
    monkeypatch.setattr(id_set, "IDS_PER_MERGE", 16)
    assert [IdSet(names).place(name) for name in names] == [whole.place(name) for name in names]


@examples(50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sets(st.integers(0, 500), min_size=1), st.sets(st.integers(0, 500), min_size=1))
def test_hashes_that_collide_lose_a_text_but_never_give_anothers(
    tmp_path: Path, held: set[int], asked: set[int]
) -> None:
    path = tmp_path / "corpus.tsv"
    path.write_text("".join(f"d{number}\ttext {number}\n" for number in held))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(id_set, "DIGEST_BYTES", 1)  # 256 hashes for 501 ids
        with open_corpus(path, IdSet(f"d{number}" for number in asked), lambda _: None) as corpus:
            for number in asked:
                (joined,) = corpus.join([RawDocument(f"d{number}", None, 1.0, IN_RUN)])
                text = joined.text
                assert text in (None, f"text {number}")
                assert number in held or text is None
