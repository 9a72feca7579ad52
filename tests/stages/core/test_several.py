"""What several first stages retrieved is scored once, and each gets the ranking that it would have had alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.records import Candidates, Location, PairScore, RawDocument, RawQuery, SetAside
from stages.core.rerank import rank
from stages.core.several import merge, prepare_lists, split

HERE = Location("run.trec", 3)
COSTS = ("prompt_tokens", "cached_tokens", "truncated_pairs", "store_hits", "reused_pairs")


def candidates(*doc_ids: str, tail: tuple[str, ...] = ()) -> Candidates:
    return Candidates(
        query_id="q",
        query="why",
        doc_ids=doc_ids,
        texts=tuple(f"text of {doc_id}" for doc_id in doc_ids),
        scores=tuple(float(-place) for place in range(len(doc_ids))),
        tail=tail,
        instruction="find it",
        attributes={"language": "de"},
    )


def raw(*documents: tuple[str, object], query: object = "why") -> RawQuery:
    retrieved = tuple(RawDocument(doc_id, text, -float(place), HERE) for place, (doc_id, text) in enumerate(documents))
    return RawQuery("q", query, retrieved, HERE)


def test_merged_lists_hold_each_document_once_by_first_appearance() -> None:
    merged = merge({"bm25": candidates("a", "b", tail=("x",)), "dense": candidates("c", "b", "x", tail=("y",))})
    assert merged == Candidates(
        query_id="q",
        query="why",
        doc_ids=("a", "b", "c", "x"),
        texts=("text of a", "text of b", "text of c", "text of x"),
        scores=(-1.0, -2.0, -3.0, -4.0),
        tail=(),
        instruction="find it",
        attributes={"language": "de"},
    )


def test_what_is_below_one_lists_depth_keeps_its_place_there_though_another_list_had_it_scored() -> None:
    dense = candidates("c", tail=("a", "b"))
    merged = merge({"bm25": candidates("a", "b"), "dense": dense})
    ranking = rank(merged, [PairScore(0.1), PairScore(0.2), PairScore(0.3)])
    assert split(ranking, dense).ordered() == ("c", "a", "b")


def test_a_split_ranking_costs_nothing_of_its_own() -> None:
    own = candidates("a", "b")
    pairs = [PairScore(0.5, prompt_tokens=9, cached_tokens=3, truncated=True), PairScore(0.4, stored=True)]
    part = split(rank(own, pairs), own)
    assert (part.prompt_tokens, part.cached_tokens, part.truncated_pairs, part.store_hits) == (0, 0, 0, 0)
    assert part.pair_tokens == (9, 0)


def test_a_ranking_that_lacks_a_candidate_or_is_another_querys_is_refused() -> None:
    ranking = rank(candidates("a"), [PairScore(0.5)])
    with pytest.raises(ValueError, match="the ranking of query 'q' lacks candidates of 'q'"):
        split(ranking, candidates("a", "b"))
    with pytest.raises(ValueError, match="lacks candidates of 'other'"):
        split(ranking, replace(candidates("a"), query_id="other"))


def test_lists_are_prepared_under_their_names_and_shared_faults_are_reported_once() -> None:
    aside: list[SetAside] = []
    lists: Mapping[str, RawQuery] = {
        "bm25": raw(("a", "text"), ("b", None)),
        "dense": raw(("b", None), ("c", 5)),
        "hybrid": raw(("a", "text"), ("d", "text")),
    }
    [prepared] = prepare_lists([lists], 2, aside.append)
    assert {name: one.doc_ids for name, one in prepared.items()} == {"bm25": ("a",), "dense": (), "hybrid": ("a", "d")}
    assert {name: one.top for name, one in prepared.items()} == {
        "bm25": ("a", "b"),
        "dense": ("b", "c"),
        "hybrid": ("a", "d"),
    }
    assert [row.reason for row in aside] == ["document b is not in the corpus", "text is not a string but int"]


def test_what_no_list_could_have_scored_stands_behind_in_each_ones_own_order() -> None:
    bm25, dense = candidates("a", "b"), candidates("c", "b")
    bm25, dense = replace(bm25, listed=("x", "a", "y", "b")), replace(dense, listed=("y", "c", "b", "x"))
    merged = merge({"bm25": bm25, "dense": dense})
    assert (merged.doc_ids, merged.listed) == (("a", "b", "c"), ("x", "a", "y", "b", "c"))
    ranking = rank(merged, [PairScore(0.1), PairScore(0.2), PairScore(0.3)])
    assert split(ranking, bm25).ordered() == ("b", "a", "x", "y")
    assert split(ranking, dense).ordered() == ("c", "b", "y", "x")


def test_a_query_that_cannot_be_asked_keeps_each_list() -> None:
    aside: list[SetAside] = []
    lists = {"bm25": raw(("a", "text"), query=""), "dense": raw(("c", "text"), query="")}
    [prepared] = prepare_lists([lists], 2, aside.append)
    assert {name: (one.doc_ids, one.top) for name, one in prepared.items()} == {
        "bm25": ((), ("a",)),
        "dense": ((), ("c",)),
    }
    assert merge(prepared).listed == ("a", "c")
    assert [row.reason for row in aside] == ["empty query"]


def test_a_query_without_a_usable_document_is_out() -> None:
    aside: list[SetAside] = []
    assert list(prepare_lists([{"bm25": raw()}], 2, aside.append)) == []
    assert [row.reason for row in aside] == ["no usable document among its candidates"]


DOC_IDS = st.lists(st.sampled_from("abcdefgh"), unique=True, min_size=1)
NUMBERS = st.none() | st.floats(-2, 2, width=16) | st.just(float("nan"))
CUT = st.floats(-2, 2, width=16)
PAIRS = st.builds(PairScore, score=NUMBERS, logit=NUMBERS, error=st.none() | st.just("aborted")) | st.builds(
    PairScore, score=CUT, logit=CUT, passages=st.integers(2, 9), cut_score=CUT, cut_logit=CUT
)


@given(
    st.dictionaries(st.sampled_from(["bm25", "dense", "hybrid"]), DOC_IDS, min_size=1),
    st.fixed_dictionaries(dict.fromkeys("abcdefgh", PAIRS)),
)
def test_a_split_ranking_is_that_of_the_lists_own_scores(
    doc_ids: dict[str, list[str]], scores: dict[str, PairScore]
) -> None:
    lists = {name: candidates(*own, tail=("t",)) for name, own in doc_ids.items()}
    merged = merge(lists)
    ranking = rank(merged, [scores[doc_id] for doc_id in merged.doc_ids])
    for one in lists.values():
        alone = rank(one, [scores[doc_id] for doc_id in one.doc_ids])
        assert split(ranking, one) == replace(alone, **dict.fromkeys(COSTS, 0))  # type: ignore[arg-type]  # counts alone
