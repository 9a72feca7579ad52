"""Judgements are the same where the same was judged alike."""

from __future__ import annotations

import pytest

from stages.core.records import Judgements


def test_the_digest_of_judgements_does_not_depend_on_their_order() -> None:
    one = Judgements({"q1": {"a": 1, "b": 0}, "q2": {"c": 2}})
    other = Judgements({"q2": {"c": 2}, "q1": {"b": 0, "a": 1}})
    assert one.digest == other.digest
    assert len(one.digest) == 64


@pytest.mark.parametrize(
    "grades",
    [
        {"q1": {"a": 1, "b": 1}, "q2": {"c": 2}},
        {"q1": {"a": 1}, "q2": {"c": 2}},
        {"q1": {"a": 1, "b": 0}, "q3": {"c": 2}},
        {"q1": {"a": 1, "b": 0, "c": 2}},
    ],
)
def test_other_judgements_have_another_digest(grades: dict[str, dict[str, int]]) -> None:
    assert Judgements(grades).digest != Judgements({"q1": {"a": 1, "b": 0}, "q2": {"c": 2}}).digest
