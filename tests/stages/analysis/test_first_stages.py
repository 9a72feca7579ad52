"""First stages fused, by what is best on other queries."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.analysis.first_stages import TunedFusion, fused_lists, tuned_fusion, weightings
from stages.analysis.fusion import FOLDS, assign_folds
from stages.core.order import trec_order
from stages.core.records import Candidates, Judgements

IDS = [f"d{number}" for number in range(8)]


def listed(query_id: str, scores: dict[str, float]) -> Candidates:
    order = trec_order(list(scores), list(scores.values()))
    return Candidates(query_id, "", order, (), tuple(scores[doc_id] for doc_id in order))


SCORES = st.dictionaries(st.sampled_from(IDS), st.integers(-20, 20).map(float), max_size=8)


@given(SCORES, SCORES)
def test_all_weight_on_one_first_stage_is_its_list_with_the_others_documents_behind(
    one: dict[str, float], other: dict[str, float]
) -> None:
    first, second = listed("q", one), listed("q", other)
    fused = fused_lists({"one": first, "other": second}, "q")
    assert fused.by_score((1.0, 0.0))[: len(one)] == first.doc_ids
    assert fused.by_score((0.0, 1.0))[: len(other)] == second.doc_ids
    assert set(fused.by_score((0.5, 0.5))) == set(fused.by_rank()) == {*one, *other}


@given(st.lists(SCORES, min_size=2, max_size=4))
def test_reciprocal_ranks_are_added_up_over_the_lists(scores: list[dict[str, float]]) -> None:
    lists = {str(place): listed("q", one) for place, one in enumerate(scores)}
    sums: dict[str, float] = {}
    for one in lists.values():
        for rank, doc_id in enumerate(one.doc_ids, 1):
            sums[doc_id] = sums.get(doc_id, 0.0) + 1 / (60 + rank)
    assert fused_lists(lists, "q").by_rank() == trec_order(list(sums), list(sums.values()))


def test_a_document_without_a_text_keeps_its_place_between_its_neighbours() -> None:
    one = Candidates("q", "", ("a", "c"), (), (2.0, 1.0), listed=("a", "b", "c"))
    fused = fused_lists({"one": one, "other": None}, "q")
    assert fused.doc_ids == ("a", "b", "c")
    assert fused.scaled[0].tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("first_stages", range(2, 12))
def test_weightings_are_few_add_up_to_one_and_hold_each_first_stage_alone(first_stages: int) -> None:
    found = list(weightings(first_stages))
    assert len(found) == len(set(found)) <= 40
    assert all(sum(weights) == pytest.approx(1) for weights in found)
    assert {weights for weights in found if max(weights) == 1} == {
        tuple(float(place == one) for place in range(first_stages)) for one in range(first_stages)
    }


def fusion_of(values: dict[str, tuple[str, ...]], names: tuple[str, ...], judged: dict[str, str]) -> TunedFusion | None:
    """Each query's lists by rank alone: `values[name + query]`."""
    lists = [
        {
            name: listed(query_id, {doc_id: -float(rank) for rank, doc_id in enumerate(values[name + query_id])})
            for name in names
        }
        for query_id in judged
    ]
    judgements = Judgements({query_id: {doc_id: 1} for query_id, doc_id in judged.items()})
    return tuned_fusion(lists, names, judgements, ["mrr"])


def test_where_one_first_stage_is_always_right_it_is_chosen_in_every_fold() -> None:
    judged = {f"q{number}": "d0" for number in range(20)}
    rng = random.Random(3)
    values = {f"good{query_id}": ("d0", "d1", "d2") for query_id in judged}
    values |= {f"bad{query_id}": ("d3", "d4", *rng.sample(["d1", "d2"], 2), "d0") for query_id in judged}
    found = fusion_of(values, ("good", "bad"), judged)
    assert found is not None and found.metrics.mean("mrr") == 1.0
    assert all(chosen is None or chosen["good"] > 0.5 for chosen in found.chosen)


def test_a_query_has_no_part_in_what_is_chosen_for_it() -> None:
    rng = random.Random(7)
    judged = {f"q{number}": "d0" for number in range(60)}
    values: dict[str, tuple[str, ...]] = {}
    for query_id in judged:
        right = rng.random() < 0.5
        values[f"one{query_id}"] = ("d0", "d1") if right else ("d1", "d0")
        values[f"other{query_id}"] = ("d1", "d0") if right else ("d0", "d1")
    found = fusion_of(values, ("one", "other"), judged)
    moved = fusion_of(values, ("one", "other"), judged | {"q0": "d1"})
    assert found is not None and moved is not None
    fold = assign_folds(found.metrics.query_ids, FOLDS, seed=0)["q0"]
    assert moved.chosen[fold] == found.chosen[fold]
    assert moved.metrics.values["mrr"][0] == 1.5 - found.metrics.values["mrr"][0]


def test_queries_that_are_not_judged_or_have_no_list_do_not_stop_it() -> None:
    judgements = Judgements({"q1": {"a": 1}, "q2": {"b": 1}, "q3": {"a": 1}})
    lists = [
        {"one": listed("q1", {"a": 1.0}), "other": None},
        {"other": listed("q2", {"a": 2.0, "b": 1.0})},
        {"one": listed("unjudged", {"a": 1.0}), "other": None},
    ]
    found = tuned_fusion(lists, ("one", "other"), judgements, ["mrr"])
    assert found is not None
    assert found.metrics.query_ids == ("q1", "q2", "q3")
    assert found.metrics.values["mrr"] == (1.0, 0.5, 0.0) and found.metrics.answered == (True, True, False)
    assert tuned_fusion(lists, ("one", "other"), Judgements({"q1": {"a": 1}}), ["mrr"]) is None


def test_names_without_any_list_take_part_all_the_same() -> None:
    judgements = Judgements({f"q{number}": {"a": 1} for number in range(6)})
    lists = [{"one": listed(f"q{number}", {"a": 1.0, "b": 2.0})} for number in range(6)]
    found = tuned_fusion(lists, ("one", "two", "three"), judgements, ["mrr"])
    assert found is not None and set(itertools.chain(found.metrics.values["mrr"])) == {0.5}
