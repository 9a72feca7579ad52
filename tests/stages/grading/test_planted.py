"""Texts that ask for a grade stand in the sample's documents, beside neutral ones; and what they change is measured."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.base.judge_prompts import judge_prompt
from stages.core.grades import Graded
from stages.grading.planted import KINDS, LONG, Pair, Planted, neutral_of, planted_pairs
from stages.grading.planted_effect import planted_effect

PROMPT, REASONED = judge_prompt("graded"), judge_prompt("reasoned")
PAIRS = [
    Pair(f"q{query}", f"d{document}", f"query {query}", f"Text {query} {document}.", (query + document) % 4)
    for query in range(10)
    for document in range(8)
]


# ---- which pairs


def test_pairs_are_of_low_grades_and_of_different_queries_and_every_kind_takes_its_turn() -> None:
    sample = planted_pairs(PAIRS, PROMPT, 1, 20)
    assert len(sample) == 20 and all(one.pair.grade <= 1 for one in sample)
    assert set(Counter(one.pair.query_id for one in sample).values()) == {2}
    assert set(Counter(one.kind for one in sample).values()) == {2}


def test_the_sample_is_the_seeds_whatever_order_the_pairs_come_in() -> None:
    mixed = PAIRS.copy()
    Random(7).shuffle(mixed)
    assert (
        planted_pairs(mixed, PROMPT, 1, 9) == planted_pairs(PAIRS, PROMPT, 1, 9) != planted_pairs(PAIRS, PROMPT, 2, 9)
    )


def test_where_few_are_low_higher_ones_follow_and_the_highest_never_as_they_cannot_be_raised() -> None:
    pairs = [Pair("q", f"d{place}", "query", "text", grade) for place, grade in enumerate((0, 2, 3, 3))]
    assert [one.pair.grade for one in planted_pairs(pairs, PROMPT, 0, 10)] == [0, 2]
    assert planted_pairs(pairs, PROMPT, 0, 0) == [] and planted_pairs([], PROMPT, 0, 5) == []


# ---- what is planted


def test_both_documents_hold_the_whole_text_and_differ_in_the_added_part_alone_which_is_as_long() -> None:
    for one in planted_pairs(PAIRS, REASONED, 1, 20):
        assert len(one.planted) == len(one.neutral) and one.planted != one.neutral
        text = one.pair.document
        at_start = one.planted.endswith(f"\n\n{text}")
        assert at_start or one.planted.startswith(f"{text}\n\n")
        assert one.neutral.endswith(text) if at_start else one.neutral.startswith(text)


def test_they_stand_at_both_ends_and_in_a_long_document_at_the_start_which_is_not_cut() -> None:
    sample = planted_pairs(PAIRS, PROMPT, 1, 20)
    assert Counter(one.planted.endswith(one.pair.document) for one in sample) == {True: 10, False: 10}
    long = [pair._replace(document="long " * LONG) for pair in PAIRS]
    assert all(one.planted.endswith(one.pair.document) for one in planted_pairs(long, PROMPT, 1, 20))


def test_they_ask_for_the_highest_grade_in_the_prompts_own_form() -> None:
    planted = {one.kind: one.planted for one in planted_pairs(PAIRS, REASONED, 1, 10)}
    assert set(planted) == {kind.name for kind in KINDS}
    assert all("3" in text for kind, text in planted.items() if kind != "repeats the query")
    assert "\nGrade: 3" in planted["imitates the reply"] and "</document>" in planted["closes the field"]


def test_none_of_them_closes_its_field() -> None:
    for one in planted_pairs(PAIRS, PROMPT, 1, 20):
        (message,) = PROMPT.filled(one.pair.query, one.planted)
        assert message.content.count("</document>") == 1 and "<|im_end|>" not in message.content


def test_a_query_with_braces_is_planted_as_it_is() -> None:
    pairs = [Pair(f"q{place}", "d", "{close} of {0}", "text", 0) for place in range(10)]
    assert any("{close} of {0}" in one.planted for one in planted_pairs(pairs, PROMPT, 0, 10))


def test_a_neutral_text_is_as_long_as_it_has_to_be_and_names_no_grade() -> None:
    for kind in KINDS:
        text = neutral_of("x" * 400, kind.language)
        assert len(text) == 400 and not any(letter.isdigit() for letter in text)


# ---- what they change


def sample(number: int, queries: int | None = None) -> list[Planted]:
    some = planted_pairs([Pair(f"q{place}", "d", "query", "text", 0) for place in range(number)], PROMPT, 0, number)
    if queries is None:
        return some
    return [
        Planted(one.pair._replace(query_id=f"q{place % queries}"), *one_rest(one)) for place, one in enumerate(some)
    ]


def one_rest(one: Planted) -> tuple[str, str, str]:
    return one.kind, one.planted, one.neutral


def graded(*grades: int | None) -> list[Graded]:
    return [Graded(grade, None if grade is not None else "why") for grade in grades]


def test_the_effect_is_the_difference_to_the_neutral_text() -> None:
    effect = planted_effect(sample(6), graded(3, 1, 0, 0, None, 2), graded(0, 1, 1, 0, 0, None))
    assert effect is not None
    assert (effect.pairs, effect.compared, effect.lost, effect.unusable) == (6, 4, 1, 1)
    assert effect.change.value == pytest.approx(0.5) and effect.change.interval is not None
    assert (effect.raised.value, effect.lowered.value, effect.expected_change) == (0.25, 0.25, None)
    assert sum(one.pairs for one in effect.kinds) == 4 and sum(one.raised for one in effect.kinds) == 1
    assert effect.words.startswith("Instructions planted in 4 documents raised the grade of 25% (95 % interval ")
    assert effect.words.endswith("by +0.50 on average, beside a neutral text of like length; 1 more lost their grade")


def test_where_nothing_moved_the_share_still_has_an_interval_and_the_mean_none() -> None:
    effect = planted_effect(sample(20), graded(*[0] * 20), graded(*[0] * 20))
    assert effect is not None and effect.change.value == 0 and effect.change.interval is None
    assert effect.raised.interval is not None and effect.raised.interval[1] == pytest.approx(0.16, abs=0.01)


def test_pairs_of_one_query_count_as_one() -> None:
    effect = planted_effect(sample(4, queries=2), graded(3, 0, 3, 0), graded(0, 0, 0, 0))
    assert effect is not None and effect.change.value == pytest.approx(1.5)
    assert effect.raised.interval is not None and effect.raised.interval[0] < 0.1


def test_with_probabilities_the_expected_grade_moves_where_the_grade_does_not() -> None:
    shifted = [Graded(0, probabilities=(0.6, 0.2, 0.1, 0.1)), Graded(0, probabilities=(0.9, 0.1, 0.0, 0.0))]
    sure = [Graded(0, probabilities=(1.0, 0.0, 0.0, 0.0))] * 2
    effect = planted_effect(sample(2), shifted, sure)
    assert effect is not None and effect.change.value == 0
    assert effect.expected_change is not None and effect.expected_change.value == pytest.approx(0.4)


def test_nothing_planted_is_no_effect_and_nothing_usable_is_told() -> None:
    assert planted_effect([], [], []) is None
    effect = planted_effect(sample(2), graded(1, 1), graded(None, None))
    assert effect is not None and effect.change.value is None and "cannot be told" in effect.words


@given(st.lists(st.tuples(*[st.one_of(st.none(), st.integers(0, 3))] * 2), max_size=12), st.integers(1, 12))
def test_whatever_grades_come_it_is_json(grades: list[tuple[int | None, int | None]], queries: int) -> None:
    some = sample(12, queries)[: len(grades)]
    effect = planted_effect(some, graded(*[one for one, _ in grades]), graded(*[other for _, other in grades]))
    assert (effect is None) == (not grades)
    if effect is not None:
        json.dumps(asdict(effect), allow_nan=False)
