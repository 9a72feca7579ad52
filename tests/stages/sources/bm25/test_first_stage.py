"""BM25 as the first stage of a collection, alone and beside others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stages.core.errors import DataError
from stages.core.first_stage import MadeFirstStage
from stages.core.records import SetAside
from stages.sources import DataSettings, Source, open_source
from tests.wheels import ROOT

SHARED = ROOT.parent / "shared" / "data"
Collection = Callable[..., Source]

CORPUS: dict[str, dict[str, object]] = {
    "a": {"title": "Red", "text": "apples"},
    "b": {"text": "green apple and a red apple"},
    "c": {"text": "blue sky"},
    "d": {"text": ""},
    "e": {"text": "苹果是红色的"},
}
QUERIES = {"q1": "red apple", "q2": "the sky", "q3": "of a grape", "q4": "红色", "unjudged": "apple"}
JUDGED = {"q1": "b", "q2": "c", "q3": "a", "q4": "e"}


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    def make(corpus: dict[str, dict[str, object]] = CORPUS, **data: Any) -> Source:
        folder = tmp_path / "beir"
        (folder / "qrels").mkdir(parents=True, exist_ok=True)
        lines = (json.dumps({"_id": doc_id, **fields}, ensure_ascii=False) for doc_id, fields in corpus.items())
        (folder / "corpus.jsonl").write_text("\n".join(lines))
        asked = (json.dumps({"_id": query_id, "text": text}) for query_id, text in QUERIES.items())
        (folder / "queries.jsonl").write_text("\n".join(asked))
        judged = "".join(f"{query_id}\t{doc_id}\t1\n" for query_id, doc_id in JUDGED.items())
        (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{judged}")
        kept = {"folder": str(tmp_path / "kept"), **data.pop("bm25", {})}
        given = {"format": "beir", "path": str(folder), "first_stage": "bm25", "bm25": kept, **data}
        return open_source(DataSettings.model_validate(given))

    return make


def lists(source: Source) -> dict[str, list[object]]:
    return {str(one.query_id): [document.doc_id for document in one.documents] for one in source.queries(print)}


def test_judged_queries_get_the_documents_with_a_word_of_theirs_and_no_others(collection: Collection) -> None:
    source = collection()
    assert source.names == ("first_stage",)
    assert lists(source) == {"q1": ["b", "a"], "q2": ["c"], "q4": ["e"]}
    assert source.meetings()["first_stage"].shared == 3


def test_where_answers_judge_the_queries_that_have_one_are_asked(collection: Collection, tmp_path: Path) -> None:
    answers = {"q1": "apple", "unjudged": ["red", "green"], "q2": None, "q4": []}
    asked = [{"_id": one, "text": text, "gold": answers.get(one)} for one, text in QUERIES.items()]
    queries = tmp_path / "asked.jsonl"
    queries.write_text("\n".join(map(json.dumps, asked)))
    source = collection(queries=str(queries), columns={"answers": "gold"}, judgements="answers")
    assert lists(source).keys() == {"q1", "unjudged"}
    assert source.meetings()["first_stage"].shared == 2
    assert (source.answers(print) or {}).keys() == {"q1", "unjudged"}


def test_a_title_counts_as_it_is_joined_with_its_text(collection: Collection) -> None:
    (document,) = (one for query in collection().queries(print) for one in query.documents if one.doc_id == "a")
    assert document.text == "Red apples" and float(str(document.score)) > 0


def test_what_it_was_made_with_is_told(collection: Collection) -> None:
    made = collection(depth=7).made["first_stage"]
    assert str(made).startswith("BM25 (made here: bm25s 0.")
    assert str(made).endswith(", lucene, k1=0.9, b=0.4, english)")
    assert (made.documents, made.without_words, made.queries, made.top) == (5, 1, 4, 7)
    assert list(made.remarks()) == [
        (
            "BM25 found nothing for 1 of 4 queries, such as 'q3': no document has a word of theirs that is "
            "no stop word, and they have no "
            "candidates"
        ),
        "1 of 5 documents have no word, and BM25 never finds them",
    ]


def test_the_next_run_finds_the_index_and_has_the_same_lists(collection: Collection) -> None:
    first, second = collection(), collection()
    assert lists(first) == lists(second)
    assert "5 documents, made, kept in" in first.made["first_stage"].index()
    assert "5 documents, found, kept in" in second.made["first_stage"].index()
    changed = collection({**CORPUS, "f": {"text": "a red sky"}})
    assert lists(changed)["q2"] == ["f", "c"] and "6 documents, made," in changed.made["first_stage"].index()


def test_lists_that_are_damaged_are_made_again(collection: Collection, tmp_path: Path) -> None:
    expected = lists(collection())
    (file,) = (tmp_path / "kept" / "lists").iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    assert lists(collection()) == expected
    assert [one.name for one in (tmp_path / "kept" / "lists").iterdir()] == [file.name]


@pytest.mark.parametrize("depth", [1, 2])
def test_no_more_than_depth_are_retrieved(collection: Collection, depth: int) -> None:
    assert [len(found) for found in lists(collection(depth=depth)).values()] == [depth, 1, 1]


def test_what_is_retrieved_below_the_depth_follows(collection: Collection) -> None:
    (first, *_) = collection(depth=1, bm25={"top": 2}).queries(print)
    assert [one.doc_id for one in first.documents] == ["b"] and [one.doc_id for one in first.tail] == ["a"]


def test_a_limit_leaves_the_first_judged_queries(collection: Collection) -> None:
    source = collection(limit=2)
    assert list(lists(source)) == ["q1", "q2"] and set(source.judgements(print).grades) == {"q1", "q2"}


def test_its_own_document_leaves_room_for_another(collection: Collection) -> None:
    aside: list[SetAside] = []
    corpus = {"q1": {"text": "red red apple"}, **CORPUS}
    (first, *_) = collection(corpus, drop_self=True, depth=2).queries(aside.append)
    assert [one.doc_id for one in first.documents] == ["b", "a"] and aside[0].doc_id == "q1"


def test_beside_given_runs_it_is_one_of_several(collection: Collection, tmp_path: Path) -> None:
    run = tmp_path / "dense.trec"
    run.write_text("q1 Q0 c 1 2.0 x\nq1 Q0 b 2 1.0 x\n")
    source = collection(runs={"dense": str(run)})
    assert source.names == ("dense", "bm25") and set(source.made) == {"bm25"}
    (first, *_) = source.query_lists(print)
    assert {name: [one.doc_id for one in query.documents] for name, query in first.items()} == {
        "dense": ["c", "b"],
        "bm25": ["b", "a"],
    }


def test_a_corpus_and_judgements_that_do_not_meet_are_refused(collection: Collection) -> None:
    with pytest.raises(DataError, match=r"none of those judged is in .*corpus.jsonl"):
        collection({f"x{doc_id}": fields for doc_id, fields in CORPUS.items()}).meetings()


def test_texts_in_another_language_than_is_set_are_told() -> None:
    told = MadeFirstStage("0", "lucene", 1, 0.4, "english", 10, 5, 0, 0, 4, 0, None, 0.02, "here", "made")
    assert list(told.remarks()) == [
        "only 2.0% of the words are stop words of english: if the texts are in another language, set data.bm25.language"
    ]


@pytest.mark.parametrize("name", ["scifact", "xquad-zh"])
def test_it_is_near_the_given_run_of_a_real_collection(name: str, tmp_path: Path) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"no {SHARED / name}")
    from stages.quality.evaluate import evaluate

    data = {"format": "beir", "path": str(SHARED / name), "depth": 100}
    kept = {"folder": str(tmp_path)}
    sources = (
        open_source(DataSettings.model_validate(data | {"first_stage": "bm25", "bm25": kept})),
        open_source(DataSettings.model_validate(data | {"run": SHARED / name / "runs" / "bm25.trec"})),
    )
    here, given = (
        evaluate(
            {query_id: [str(one) for one in found] for query_id, found in lists(source).items()},
            source.judgements(print),
            ["ndcg@10"],
        ).mean("ndcg@10")
        for source in sources
    )
    assert here == pytest.approx(given, abs=0.03)
