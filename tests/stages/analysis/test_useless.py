"""Planted useless rerankers are named right, and real ones of modest quality are not."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.analysis.orders import Orders, Pairs, pairs_of
from stages.analysis.useless import LEVEL, Uselessness, useless
from tests.analysis_inputs import Collection, collection, collections, one_query
from tests.examples import THOROUGH, examples
from tests.planted_rerankers import METRIC, PLANTED, Reranker, Shape, found, real, turned

SHAPE = Shape(150, (8, 16), (2, 5))
COLLECTIONS = 200 if THOROUGH else 10


def of(made: Collection, *, has_first_stage: bool = True, judged: bool = True) -> Uselessness:
    orders = Orders(METRIC, has_first_stage=has_first_stage)
    for outcome in made.outcomes:
        orders.add(outcome, made.judgements.grades.get(outcome.query_id) if judged else None)
    return useless(orders)


@pytest.mark.scaled
@pytest.mark.parametrize("planted", PLANTED)
def test_each_planted_reranker_is_named_right_over_the_simulated_collections(planted: str) -> None:
    name, reranker = PLANTED[planted]
    told = Counter(found(SHAPE, reranker, seed).name for seed in range(COLLECTIONS))
    assert set(told) <= {name, None}
    # None is never wrong: that an order is random takes more queries to show, and of 150 one in twenty cannot be told.
    assert told[None] <= (0 if name != "random" else max(2, COLLECTIONS // 10))


@pytest.mark.scaled
@pytest.mark.parametrize("concordance", [0.6, 0.75])
@pytest.mark.parametrize("topic", [0.0, 0.5], ids=["by something else", "as the first stage"])
def test_a_real_reranker_of_modest_quality_is_not_called_useless(concordance: float, topic: float) -> None:
    told = Counter(found(SHAPE, real(concordance, topic), seed).name for seed in range(COLLECTIONS))
    assert told[None] >= COLLECTIONS - (1 + 2 * LEVEL * COLLECTIONS)


@pytest.mark.scaled
def test_few_queries_name_no_order_random_but_say_what_they_could_show() -> None:
    told = found(Shape(30, (8, 16), (1, 2)), PLANTED["random"][1], 1)
    assert told.name is None
    assert told.words is not None
    assert told.words.startswith("the order cannot be told from a random one, as a relevant document stands above")
    assert told.shows_from is not None
    assert 0.6 < told.shows_from < 1
    assert f"over {told.concordance and told.concordance.lists} judged lists, which probably show" in told.words


@pytest.mark.parametrize("planted", ["constant", "the first stage's copy", "the first stage reversed"])
def test_what_shows_in_the_scores_alone_needs_no_judgement(planted: str) -> None:
    name, reranker = PLANTED[planted]
    assert found(dataclasses.replace(SHAPE, judged=False), reranker, 0).name == name


def test_without_judgements_a_real_reranker_with_its_sign_turned_runs_against_the_first_stage() -> None:
    shape = dataclasses.replace(SHAPE, judged=False)
    told = found(shape, turned(real(0.8)), 0)
    assert told.name == "reversed"
    assert told.words is not None
    assert "runs against the first stage's" in told.words
    assert found(shape, real(0.8), 0).name is None


def test_without_judgements_a_random_order_is_not_named_and_what_is_seen_of_it_is_said() -> None:
    told = found(dataclasses.replace(SHAPE, judged=False), PLANTED["random"][1], 0)
    assert told.name is None
    assert told.words is not None
    assert "no relation to the first stage's" in told.words


def test_a_reranker_against_the_first_stage_that_the_judgements_prefer_is_none_of_them() -> None:
    """The first stage is the one that is upside down."""

    def upside_down(first: Reranker) -> Reranker:
        return lambda given, rng: first(given, rng) - 0.5 * given.first

    told = found(Shape(200, informative=False), upside_down(real(0.8)), 0)
    assert told.tau is not None
    assert told.tau.interval.high < -0.1
    assert told.name is None


def test_every_score_the_same_is_constant_whatever_the_ids_make_of_the_order() -> None:
    queries = [one_query(f"q{number}", dict.fromkeys("abcdef", 0.5)) for number in range(3)]
    told = of(collection(queries, {"q0": {"a": 1}}))
    assert (told.name, told.one_score_lists) == ("constant", 3)
    assert told.words is not None
    assert "in 3 of 3 lists all documents have the same one" in told.words


def test_scores_that_differ_by_rounding_alone_are_constant() -> None:
    scores = np.float32(0.7) + np.spacing(np.float32(0.7)) * np.arange(6)
    queries = [one_query(f"q{number}", dict(zip("abcdef", scores.tolist(), strict=True))) for number in range(3)]
    assert of(collection(queries, {})).name == "constant"


def test_two_documents_of_the_same_text_make_no_reranker_constant() -> None:
    assert of(collection([one_query("q", {"a": 0.5, "b": 0.5})], {})).name is None


def test_a_few_short_lists_that_stay_as_they_were_are_no_copy() -> None:
    queries = [one_query(f"q{number}", {"a": 1.0, "b": 0.0}) for number in range(20)]
    assert of(collection(queries, {})).name is None
    many = [one_query(f"q{number}", {"a": 1.0, "b": 0.0}) for number in range(80)]
    assert of(collection(many, {})).name == "first_stage"


def test_one_long_list_that_stays_as_it_was_is_a_copy() -> None:
    made = collection([one_query("q", {f"d{place}": -float(place) for place in range(100)})], {})
    assert of(made).name == "first_stage"
    assert of(made, has_first_stage=False).name is None


def test_lists_of_one_document_say_nothing() -> None:
    told = of(collection([one_query("q", {"a": 1.0})], {"q": {"a": 1}}))
    assert (told.name, told.words, told.lists, told.tau) == (None, None, 0, None)


def test_pairs_stand_as_before_or_the_other_way_round_or_are_tied() -> None:
    assert pairs_of([3.0, 2.0, 2.0, 5.0]) == Pairs(kept=2, turned=3)


@examples(100)
@given(st.lists(st.integers(-5, 5)))
def test_pairs_are_those_of_a_count_by_hand(keys: list[float]) -> None:
    pairs = [(one, other) for place, one in enumerate(keys) for other in keys[place + 1 :]]
    assert pairs_of(keys) == Pairs(sum(a > b for a, b in pairs), sum(a < b for a, b in pairs))


def test_concordance_and_what_is_above_random_are_those_of_all_orders_of_a_list() -> None:
    """By hand: a relevant of 2, b of 1, c and d not, ndcg at 2; the tail's relevant document is out of reach."""
    from itertools import permutations

    grades = {"a": 2, "b": 1, "t": 3, "c": 0}
    concordances, gains = [], []
    for order in permutations("abcd"):
        logits = {doc_id: -float(order.index(doc_id)) for doc_id in "abcd"}
        orders = Orders("ndcg@2", has_first_stage=True)
        (outcome,) = collection([one_query("q", logits, tail=["t"])], {}).outcomes
        orders.add(outcome, grades)
        concordances += orders.concordances
        gains += orders.above_random
        if order == ("a", "c", "b", "d"):
            ideal = 3 + 2 / np.log2(3)
            expected = (2 - (2 + 1) * (1 + 1 / np.log2(3)) / 4) / ideal
            assert orders.concordances[0] == 3 / 4
            assert orders.above_random[0] == pytest.approx(expected)
    assert np.mean(concordances) == pytest.approx(0.5)
    assert np.mean(gains) == pytest.approx(0)


@examples(50)
@given(collections(), st.booleans(), st.booleans())
def test_whatever_was_scored_it_is_strict_json(made: Collection, has_first_stage: bool, judged: bool) -> None:
    told = of(made, has_first_stage=has_first_stage, judged=judged)
    json.dumps(dataclasses.asdict(told), allow_nan=False)
    assert (told.name is None) or told.words
