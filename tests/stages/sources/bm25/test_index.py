"""An index is the one that bm25s makes of the same words, and its lists hold nothing that no word brought there."""

from __future__ import annotations

import itertools
from pathlib import Path

import bm25s
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.core.order import trec_order
from stages.sources.bm25.ids import IdsFile, read_ids, sort_ids
from stages.sources.bm25.index import Found, Index, best, make_index
from stages.sources.bm25.postings import PostingsFile
from stages.sources.bm25.settings import Bm25Settings
from stages.sources.bm25.words import words
from tests.examples import examples

PLAIN = Bm25Settings(language=None)
NUMBERS = itertools.count()
TEXTS = st.lists(st.lists(st.sampled_from(["ape", "bee", "cat", "dog", "狗狗"]), max_size=8).map(" ".join), max_size=12)


def made(texts: list[str | None], folder: Path, settings: Bm25Settings = PLAIN, ids: list[str] | None = None) -> Index:
    folder = folder / str(next(NUMBERS))
    folder.mkdir()
    named = ids or [f"d{number}" for number in range(len(texts))]
    make_index(zip(named, texts, strict=True), settings, folder, "corpus.jsonl")
    return Index(folder, settings)


@given(texts=TEXTS, query=st.lists(st.sampled_from(["ape", "bee", "dog", "狗狗", "eel"]), max_size=4).map(" ".join))
@pytest.mark.parametrize("method", ["lucene", "robertson", "atire"])
@examples(100)
def test_scores_are_those_of_bm25s_and_padding_is_gone(
    method: str, texts: list[str], query: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    texts = [*texts, "ape cat"]
    settings = Bm25Settings(language=None, method=method, k1=1.2, b=0.7)  # type: ignore[arg-type]  # drawn
    index = made(list(texts), tmp_path_factory.getbasetemp(), settings)

    theirs = bm25s.BM25(k1=1.2, b=0.7, method=method)
    theirs.index([words(text) for text in texts], show_progress=False)
    known = theirs.get_tokens_ids(words(query))
    scores = theirs.get_scores_from_ids(known) if known else np.zeros(len(texts), np.float32)
    matched = {f"d{place}": float(score) for place, score in enumerate(scores) if score > 0}

    found = index.search(query, depth=len(texts) + 5)
    assert tuple(found.doc_ids) == trec_order(list(matched), list(matched.values()))
    assert found.scores == [matched[doc_id] for doc_id in found.doc_ids]
    for doc_id in found.doc_ids:
        assert set(words(query)) & set(words(texts[int(doc_id[1:])]))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(1, 8), st.randoms())
def test_the_best_are_those_of_the_whole_list_in_trec_evals_order(values: list[int], depth: int, rng: object) -> None:
    ids = [f"d{place}" for place in range(len(values))]
    rng.shuffle(ids)  # type: ignore[attr-defined]  # a random.Random
    ranks = np.argsort(np.argsort(np.array(ids))).astype(np.int32)
    scores = np.array(values, np.float32)
    whole = [doc_id for doc_id in trec_order(ids, values) if values[ids.index(doc_id)] > 0]
    assert [ids[place] for place in best(scores, ranks, depth)] == whole[:depth]


@given(TEXTS, st.integers(1, 5))
def test_postings_say_what_each_document_has_however_they_are_cut_into_batches(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], per_batch: int
) -> None:
    numbers = {"ape": 0, "bee": 1, "cat": 2, "dog": 3, "狗狗": 4}
    documents = [[numbers[word] for word in text.split()] for text in texts]
    with PostingsFile(tmp_path_factory.getbasetemp() / "postings", per_batch) as postings:
        for terms in documents:
            postings.add(terms)
    found: dict[tuple[int, int], int] = {}
    for batch in postings.batches():
        assert batch.tolist() == sorted(batch.tolist())
        found |= {(document, term): count for term, document, count in batch.tolist()}
    assert found == {(place, term): terms.count(term) for place, terms in enumerate(documents) for term in set(terms)}
    assert postings.lengths.tolist() == list(map(len, documents))


def test_a_query_has_as_many_candidates_as_documents_share_a_word_with_it(tmp_path: Path) -> None:
    index = made(["red apple", "green apple", "blue sky", None, "  "], tmp_path)
    assert sorted(index.search("apple", 100).doc_ids) == ["d0", "d1"]
    assert index.search("grape", 100) == Found([], [])
    assert index.search("?", 100) == Found([], [])


def test_equal_scores_are_ordered_by_id_and_cut_by_it(tmp_path: Path) -> None:
    index = made(["apple"] * 4, tmp_path, ids=["b", "d", "a", "c"])
    assert index.search("apple", 100).doc_ids == ["d", "c", "b", "a"]
    assert index.search("apple", 2).doc_ids == ["d", "c"]


def test_of_two_documents_with_one_id_the_first_counts(tmp_path: Path) -> None:
    twice = made(["red apple", "green sky", "red sky apple"], tmp_path, ids=["a", "b", "a"])
    once = made(["red apple", "green sky"], tmp_path, ids=["a", "b"])
    for query in ("red", "sky", "apple green"):
        assert twice.search(query, 10) == once.search(query, 10)


def test_english_words_meet_by_their_stems_and_stop_words_do_not_count(tmp_path: Path) -> None:
    index = made(["Connected networks", "The sky is of a colour"], tmp_path, Bm25Settings())
    assert index.search("connecting a network", 10).doc_ids == ["d0"]
    assert index.search("of the", 10).doc_ids == []


def test_a_corpus_without_a_word_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"corpus.jsonl: no document has a word"):
        made([None, "?!"], tmp_path)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4), max_size=20))
def test_ids_are_ranked_as_python_sorts_them_and_later_ones_of_a_kind_are_marked(
    tmp_path_factory: pytest.TempPathFactory, ids: list[str]
) -> None:
    file = tmp_path_factory.getbasetemp() / "ids"
    with IdsFile(file) as written:
        for one in ids:
            written.add(one)
    read = read_ids(file)
    found = sort_ids(read)
    assert read.to_pylist() == ids
    assert [one for _, one in sorted(zip(found.ranks.tolist(), ids, strict=True))] == sorted(ids)
    assert found.repeated.tolist() == [one in ids[:place] for place, one in enumerate(ids)]
