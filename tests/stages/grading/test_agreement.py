"""A judge beside people: numbers by hand, scales of other lengths, what cannot be told, and what the words say."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.grading.agreement import LONGEST, NO_SCALE, ONE_GRADE, agreement
from stages.grading.record import Agreement
from stages.grading.scale import scale_of
from stages.report.judge_tables import confusion_table

Grades = dict[str, dict[str, int]]


def of_pairs(pairs: list[tuple[int, int]], queries: int = 20) -> tuple[Grades, Grades]:
    """People's and the judge's grades of (judge, people), dealt out to queries in turn."""
    people: Grades = {}
    model: Grades = {}
    for place, (judge, person) in enumerate(pairs):
        people.setdefault(f"q{place % queries}", {})[f"d{place}"] = person
        model.setdefault(f"q{place % queries}", {})[f"d{place}"] = judge
    return people, model


def told(pairs: list[tuple[int, int]], queries: int = 20, **more: Any) -> Agreement:
    found = agreement(*of_pairs(pairs, queries), **more)
    assert found is not None
    return found


# Judge, people; 20 of each grade of people's.
GOOD = [(grade, grade) for grade in range(4)] * 15 + [(0, 1), (1, 2), (2, 3), (3, 2)] * 5
RANDOM = [(judge, person) for judge in range(4) for person in range(4)] * 20


def test_the_numbers_by_hand() -> None:
    found = told(GOOD)
    assert (found.pairs, found.queries, found.highest, found.relevant) == (80, 20, 3, 2)
    assert found.identical.value == pytest.approx(60 / 80)
    assert found.difference.value == pytest.approx((-5 - 5 - 5 + 5) / 80)
    assert found.confusion == [[15, 5, 0, 0], [0, 15, 5, 0], [0, 0, 15, 5], [0, 0, 5, 15]]
    assert found.confirmed.value == pytest.approx(1.0) and found.found.value == pytest.approx(40 / 45)
    assert [one.pairs for one in found.by_grade] == [20, 20, 20, 20]
    assert [one.relevant.value for one in found.by_grade] == pytest.approx([0, 0.25, 1, 1])
    assert found.kappa.value == pytest.approx((0.75 - 0.25) / (1 - 0.25), abs=0.01)
    assert found.kappa_weighted.value is not None and found.kappa_weighted.value > (found.kappa.value or 0)


def test_only_pairs_that_both_graded_count() -> None:
    people: Grades = {"q": {"a": 3, "b": 0, "only people": 3}, "nobody else's": {"a": 1}}
    model: Grades = {"q": {"a": 3, "b": 1, "only the judge": 0}, "only the judge's": {"a": 1}}
    found = agreement(people, model)
    assert found is not None and (found.pairs, found.queries) == (2, 1)
    assert agreement(people, {"other": {"a": 1}}) is None and agreement({}, model) is None


def test_a_grade_that_is_none_is_refused_and_grades_below_0_are_not_relevant() -> None:
    with pytest.raises(ValueError, match="4 of q d is no grade"):
        agreement({"q": {"d": 1}}, {"q": {"d": 4}})
    found = agreement({"q": {"d": -2, "e": 3}}, {"q": {"d": 0, "e": 3}})
    assert found is not None and found.identical.value == 1


# ---- scales


@pytest.mark.parametrize(
    ("highest", "relevant", "of_judge"), [(1, 1, (0, 0, 1, 1)), (2, 1, (0, 0, 1, 2)), (3, 2, (0, 1, 2, 3))]
)
def test_a_shorter_scale_of_peoples_is_held_beside_the_judges(
    highest: int, relevant: int, of_judge: tuple[int, ...]
) -> None:
    scale = scale_of(highest)
    assert (scale.highest, scale.relevant, scale.of_judge) == (highest, relevant, of_judge)
    found = told([(judge, of_judge[judge]) for judge in range(4)] * 20, highest=highest)
    assert (found.kappa.value, found.kappa_binary.value, found.identical.value) == (1, 1, 1)
    assert found.difference.value == 0 and found.scale == scale.words


def test_the_scale_is_that_of_all_that_people_graded_unless_it_is_given() -> None:
    people, model = of_pairs([(3, 1), (0, 0)] * 20)
    assert "1 counts as relevant" in scale_of(1).words
    one = agreement(people, model)
    assert one is not None and (one.highest, one.kappa_binary.value) == (1, 1)
    elsewhere = agreement(people | {"another query": {"d": 3}}, model)
    assert elsewhere is not None and (elsewhere.highest, elsewhere.relevant) == (3, 2)
    given_scale = agreement(people, model, highest=2)
    assert given_scale is not None and given_scale.highest == 2


def test_a_longer_scale_is_told_in_counts_alone_and_halves_where_its_cut_is_given() -> None:
    found = told([(3, 4), (0, 0), (2, 1)] * 20)
    for number in (found.kappa, found.kappa_binary, found.kappa_weighted, found.identical, found.difference):
        assert (number.value, number.reason) == (None, NO_SCALE)
    assert found.confusion[3] == [0, 0, 0, 0, 20] and found.badly
    assert "cannot be told" in found.words[0] and "is not known" in found.scale
    cut = told([(3, 4), (0, 0), (2, 3)] * 20, relevant=3)
    assert (cut.kappa.value, cut.kappa_binary.value, cut.confirmed.value) == (None, 1, 1)


# ---- what cannot be told


def test_one_grade_of_peoples_gives_no_kappa_and_one_of_the_judges_gives_0() -> None:
    found = told([(0, 0), (1, 0), (2, 0)] * 20)
    assert {one.reason for one in (found.kappa, found.kappa_binary, found.kappa_weighted)} == {ONE_GRADE}
    assert found.badly and "cannot be told" in found.words[0]
    constant = told([(2, person) for person in range(4)] * 20)
    assert constant.kappa.value == pytest.approx(0) and constant.kappa_binary.value == pytest.approx(0)
    assert constant.words[0].startswith("It agrees badly with people: ")


def test_few_queries_give_no_interval_of_kappa() -> None:
    found = told(GOOD, queries=3)
    assert found.kappa.value is not None and found.kappa.interval is None and found.kappa.reason is not None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 5)), min_size=1, max_size=40), st.integers(1, 15))
def test_whatever_the_grades_are_all_of_it_is_json(pairs: list[tuple[int, int]], queries: int) -> None:
    found = told(pairs, queries, slices={"half": {f"q{place}": str(place % 2) for place in range(queries)}})
    json.dumps(asdict(found), allow_nan=False)
    assert sum(map(sum, found.confusion)) == found.pairs == len(pairs)


# ---- words


def test_a_judge_that_agrees_as_published_ones_do_is_said_to() -> None:
    found = told(GOOD * 5, queries=60)
    assert not found.badly and found.words[0].startswith("It agrees with people as published judges do, or better: ")
    assert "reach a kappa of 0.20 to 0.29 on four grades and 0.32 to 0.40 on relevant or not" in found.words[1]
    assert found.words[2].startswith("Of the pairs that it calls 2 or 3, people confirm 100% (")


def test_a_judge_that_guesses_is_said_to_agree_badly_with_its_numbers() -> None:
    found = told(RANDOM, queries=50)
    assert found.badly and found.words[0].startswith("It agrees badly with people: Cohen's kappa is ")
    assert f"{found.kappa.value:.2f} (95 % interval" in found.words[0]


def test_where_pairs_are_few_it_is_said_that_they_tell_little() -> None:
    generator = np.random.default_rng(2)
    people = generator.integers(0, 4, 60)
    judge = np.where(generator.random(60) < 0.35, people, generator.integers(0, 4, 60))
    found = told([(int(one), int(other)) for one, other in zip(judge, people, strict=True)], queries=15)
    assert found.kappa.interval is not None and found.kappa.interval[0] < 0.2 < found.kappa.interval[1]
    assert found.badly and found.words[0].startswith("It agrees badly with people, as far as these pairs can tell: ")


@pytest.mark.parametrize(
    ("shift", "words"), [(1, "It is more lenient than people"), (-1, "It is stricter than people")]
)
def test_leniency_has_its_sign(shift: int, words: str) -> None:
    found = told([(min(max(person + shift, 0), 3), person) for person in range(4)] * 20)
    assert any(sentence.startswith(words) and f"{0.75 * shift:+.2f}" in sentence for sentence in found.words)


# ---- slices


def test_each_slice_has_its_own_agreement() -> None:
    people, model = of_pairs(GOOD * 2, queries=40)
    language = {f"q{place}": "zh" if place % 4 == 0 else "en" for place in range(40)}
    found = agreement(people, model, slices={"language": language, "other": {"unknown": "x"}})
    assert found is not None and [one.name for one in found.by_slice] == ["language=zh", "language=en"]
    assert sum(one.pairs for one in found.by_slice) == found.pairs
    alone = agreement({q: g for q, g in people.items() if language[q] == "en"}, model)
    assert alone is not None and found.by_slice[1].kappa == alone.kappa


def test_a_grade_of_any_size_is_counted_and_takes_no_room_of_its_size() -> None:
    people = {f"q{number}": {"d": 2**31 - 1 if number < 3 else 1} for number in range(12)}
    found = agreement(people, {query: {"d": 2} for query in people})
    assert found is not None
    assert found.highest == 2**31 - 1
    assert found.confusion[2] == [0, 9, *[0] * (LONGEST - 2), 3]
    assert found.kappa.value is None
    table = confusion_table(asdict(found))
    assert [column.heading for column in table.columns][LONGEST + 1] == f"people {LONGEST} or more"


def test_a_judge_of_one_grade_is_said_to_tell_nothing_and_no_zero_has_a_minus() -> None:
    found = told([(3, person) for person in (0, 0, 0, 1, 2)] * 60)
    assert found.kappa.value == 0
    assert found.words[1] == "It gave every one of these pairs grade 3: it tells no document from another"
    assert "-0.00" not in " ".join(found.words)
    assert not any("every one of these pairs" in one for one in told(GOOD).words)
