"""Of a reply comes the grade that it gives, or none and why: never another grade, and never 0 for none."""

from __future__ import annotations

import math
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.base.judge_prompts import judge_prompt
from stages.core.grades import Graded, Reply
from stages.core.judge_prompt import JudgePrompt
from stages.grading import reply as reading
from stages.grading.reply import LEAST_SHARE, REASONS, expected, grade_of, reason_of
from tests.hostile_replies import NO_DIGITS, OTHER_FORMS, Hostile, for_graded, hostile_replies

GRADED, REASONED = judge_prompt("graded"), judge_prompt("reasoned")
HOSTILE = {
    "reasoned": (REASONED, [*hostile_replies()]),
    "graded": (GRADED, [*for_graded()]),
}


def faults(prompt: JudgePrompt, replies: list[Hostile]) -> list[tuple[Hostile, Graded]]:
    """Those with another grade than the true one, or none where there is one to be found."""
    read = [(hostile, grade_of(hostile.reply, prompt)) for hostile in replies]
    return [
        (hostile, graded)
        for hostile, graded in read
        if graded.grade != hostile.truth and not (hostile.may_miss and graded.grade is None)
    ]


def test_there_are_more_than_a_thousand_different_hostile_replies_and_some_have_a_grade() -> None:
    texts = {hostile.reply for _, replies in HOSTILE.values() for hostile in replies}
    graded = Counter(hostile.truth for _, replies in HOSTILE.values() for hostile in replies)
    assert len(texts) > 1000
    assert all(graded[grade] > 50 for grade in range(4))


@pytest.mark.parametrize("name", HOSTILE)
def test_no_hostile_reply_gives_a_wrong_grade_and_none_that_has_one_is_lost(name: str) -> None:
    assert faults(*HOSTILE[name]) == []


@pytest.mark.parametrize(("name", "wrong"), [("reasoned", 500), ("graded", 200)])
def test_a_parser_that_takes_the_first_digit_is_wrong_on_hundreds_of_them(name: str, wrong: int) -> None:
    found = [(one, re.search("[0-3]", one.reply.text)) for one in HOSTILE[name][1]]
    assert sum(digit is not None and int(digit[0]) != one.truth for one, digit in found) > wrong


@pytest.mark.parametrize("name", HOSTILE)
def test_whatever_has_no_grade_has_one_of_the_reasons_and_whatever_has_one_has_none(
    name: str,
) -> None:
    prompt, replies = HOSTILE[name]
    for hostile in replies:
        graded = grade_of(hostile.reply, prompt)
        assert (graded.grade is None) == (graded.missing is not None)
        assert graded.missing is None or reason_of(graded.missing) in REASONS


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("Grade: 2", error="HTTP 500:\n overloaded"), reading.FAILED),
        (Reply("It is about it.\nGrade: 2", finished=False), reading.CUT),
        (Reply(" \n"), reading.EMPTY),
        (Reply(), reading.EMPTY),
        (Reply("I would say 2."), reading.NO_GRADE),
        (Reply("Grade: 3/3"), reading.NO_GRADE),
        (Reply("Grade: 10"), reading.OUT_OF_RANGE),
        (Reply("Grade: 1\nNo.\nGrade: 2"), reading.SEVERAL),
        (Reply(probabilities=(0.1, 0.1, 0.1, 0.1)), reading.UNLIKELY),
        (Reply(probabilities=(0.4, 0.1, 0.1, 0.4)), reading.UNDECIDED),
        (Reply(probabilities=(math.nan, 0.5, 0.2, 0.1)), reading.NO_NUMBERS),
    ],
)
def test_the_reason_says_what_is_wrong(reply: Reply, reason: str) -> None:
    graded = grade_of(reply, REASONED)
    assert graded.grade is None and graded.missing is not None and reason_of(graded.missing) == reason
    assert "\n" not in graded.missing


def test_what_failed_keeps_its_message_and_what_was_counted_goes_along() -> None:
    graded = grade_of(Reply(error="HTTP 429: too many", prompt_tokens=7, generated_tokens=3, truncated=True), GRADED)
    assert graded.missing == f"{reading.FAILED}: HTTP 429: too many"
    assert (graded.prompt_tokens, graded.generated_tokens, graded.truncated) == (7, 3, True)


# ---- any text at all

pieces = st.sampled_from(
    [*"0123459 \n:.*/-", "Grade: ", "\nGrade: 1", "Grade: 2\n", "\r\n", "３", "\u2028", *OTHER_FORMS, *NO_DIGITS]
)
replies = st.one_of(
    st.text(), st.lists(pieces, max_size=10).map("".join), st.lists(st.one_of(pieces, st.text(max_size=5))).map("".join)
)


@given(text=replies)
def test_a_grade_is_what_the_last_line_says_and_no_other_line_says_another(text: str) -> None:
    graded = grade_of(Reply(text), REASONED)
    if graded.grade is not None:
        assert text.strip(" \t\r\n").split("\n")[-1].strip(" \t\r") == f"Grade: {graded.grade}"
        assert not any(f"Grade: {other}" in text.splitlines() for other in {0, 1, 2, 3} - {graded.grade})


@given(text=replies, grade=st.integers(0, 3))
def test_what_stands_before_the_last_line_never_becomes_the_grade(text: str, grade: int) -> None:
    assert grade_of(Reply(f"{text}\nGrade: {grade}"), REASONED).grade in (grade, None)


@given(text=replies)
def test_of_the_short_form_nothing_but_the_digit_counts(text: str) -> None:
    stripped = text.strip(" \t\r\n")
    assert grade_of(Reply(text), GRADED).grade == (int(stripped) if stripped in ("0", "1", "2", "3") else None)


def test_a_very_long_line_is_read_in_no_time() -> None:
    for line in ("_" * 50_000, "a " * 25_000, "- " * 25_000, "Grade " * 10_000, "grade:" * 10_000):
        assert grade_of(Reply(f"{line}\nGrade: 1"), REASONED).grade in (1, None)


# ---- probabilities


def test_the_likeliest_grade_is_taken_and_the_probabilities_are_made_to_sum_to_1() -> None:
    graded = grade_of(Reply(probabilities=(0.1, 0.2, 0.4, 0.1)), GRADED)
    assert graded.grade == 2 and graded.missing is None
    assert graded.probabilities == pytest.approx((0.125, 0.25, 0.5, 0.125))
    assert expected(graded) == pytest.approx(1.625) and graded.entropy == pytest.approx(1.75)


def test_where_grades_are_less_than_the_share_that_is_needed_there_is_none() -> None:
    assert grade_of(Reply(probabilities=(LEAST_SHARE, 0.0, 0.0, 0.0)), GRADED).grade == 0
    below = grade_of(Reply(probabilities=(LEAST_SHARE - 0.01, 0.0, 0.0, 0.0)), GRADED)
    assert (below.grade, below.missing, below.probabilities) == (None, reading.UNLIKELY, ())


@pytest.mark.parametrize(
    ("probabilities", "grade"),
    [
        ((0.1, 0.4, 0.4, 0.1), 1),
        ((0.3, 0.3, 0.2, 0.2), 0),
        ((0.4, 0.1, 0.4, 0.1), None),
        ((0.25, 0.25, 0.25, 0.25), None),
        ((0.1, 0.3, 0.3, 0.3), None),
    ],
)
def test_of_two_neighbours_as_likely_the_lower_is_taken_and_of_other_ties_none(
    probabilities: tuple[float, ...], grade: int | None
) -> None:
    graded = grade_of(Reply(probabilities=probabilities), GRADED)
    assert graded.grade == grade and math.fsum(graded.probabilities) == pytest.approx(1)


@pytest.mark.parametrize(
    "probabilities",
    [
        (math.nan, 0.5, 0.2, 0.1),
        (math.inf, 0.0, 0.0, 0.0),
        (-0.1, 0.5, 0.3, 0.2),
        (0.9, 0.9, 0.0, 0.0),
        (0.5, 0.3, 0.2),
        (0.5, 0.2, 0.1, 0.1, 0.1),
        (1.0,),
    ],
)
def test_what_are_no_probabilities_of_the_grades_give_none(probabilities: tuple[float, ...]) -> None:
    graded = grade_of(Reply(probabilities=probabilities), GRADED)
    assert (graded.grade, graded.missing) == (None, reading.NO_NUMBERS)


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=0, max_size=6))
def test_whatever_numbers_come_a_grade_is_a_likeliest_one(numbers: list[float]) -> None:
    graded = grade_of(Reply(probabilities=tuple(numbers)), GRADED)
    if graded.grade is not None:
        assert len(numbers) == 4 and numbers[graded.grade] == max(numbers) and math.fsum(numbers) >= LEAST_SHARE


def test_the_text_beside_probabilities_decides_nothing() -> None:
    assert grade_of(Reply("3", (0.7, 0.1, 0.1, 0.1)), GRADED).grade == 0


def test_a_grade_without_probabilities_is_expected_to_be_itself() -> None:
    assert expected(Graded(2)) == 2.0 and expected(Graded(None, "why")) is None
