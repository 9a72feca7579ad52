"""Candidates and judgements that are not about the same are refused with an id of each side, or told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.meeting import Apart, Encounter, Meeting, alike

Lists = Mapping[str, Iterable[str]]


def met(lists: Lists, grades: Mapping[str, Mapping[str, int]]) -> Meeting:
    encounter = Encounter(grades)
    for query_id, doc_ids in lists.items():
        encounter.add(query_id, lambda doc_ids=doc_ids: doc_ids)  # type: ignore[misc]
    return encounter.meeting()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("q1", "Q1"),
        ("q1 ", "q1"),
        ("1", "1.0"),
        ("007", "7"),
        ("1", "doc1"),
        ("doc01", "1"),
        ("\uff51\uff11", "q1"),
        ('"q1"', "q1"),
    ],
)
def test_ids_that_people_take_for_the_same_are_found_from_either_side(one: str, other: str) -> None:
    assert alike(["x", one], ["y", other]) == (one, other)
    assert alike([other, "y"], [one, "x"]) == (other, one)


@pytest.mark.parametrize(("one", "other"), [("a1", "b1"), ("q1", "q2"), ("1", "12"), ("doc12", "2"), ("", "x")])
def test_ids_that_may_well_be_two_are_not_taken_for_one(one: str, other: str) -> None:
    assert alike([one], [other]) is None


@given(st.sets(st.text()), st.sets(st.text()))
def test_what_is_found_is_an_id_of_each_side(ones: set[str], others: set[str]) -> None:
    found = alike(ones, others)
    assert found is None or (found[0] in ones and found[1] in others)


def test_where_all_is_well_there_is_nothing_to_say() -> None:
    meeting = met({"q1": ["a", "b"], "q2": ["c"]}, {"q1": {"b": 1}, "q2": {"x": 1}})
    assert meeting == Meeting(2, 2, 2)
    assert meeting.refusal("run", "qrels") is None
    assert list(meeting.remarks()) == []


def test_no_query_in_common_is_refused_with_an_id_of_each_side() -> None:
    meeting = met({"train7": ["a"]}, {"test9": {"a": 1}})
    told = meeting.refusal("run.trec", "qrels.tsv")
    assert told == (
        "run.trec and qrels.tsv have no query in common: the one has 'train7', the other 'test9'. Give candidates and "
        "judgements of the same queries"
    )


def test_a_query_in_another_form_is_called_so() -> None:
    meeting = met({"q9": ["a"], "q1": ["a"]}, {"1": {"a": 1}, "2": {"a": 1}})
    assert meeting.queries == Apart("q1", "1", alike=True)
    told = meeting.refusal("run", "qrels")
    assert told is not None and "the one has 'q1', the other '1', which is the same id in another form" in told


def test_documents_in_another_form_are_refused() -> None:
    meeting = met({"q1": ["doc7", "doc1"], "q2": ["doc2"]}, {"q1": {"1": 1}, "q2": {"9": 0}})
    told = meeting.refusal("run", "qrels")
    assert told is not None and "'doc1' is a candidate, '1' is judged, the same id in another form" in told


def test_documents_that_a_first_stage_simply_did_not_find_are_told_and_not_refused() -> None:
    meeting = met({"q1": ["a", "b"]}, {"q1": {"c": 1}})
    assert meeting.refusal("run", "qrels") is None
    assert list(meeting.remarks()) == [
        "no judged document is among the candidates of its query ('a' is a candidate, 'c' is judged): every value is 0"
    ]


def test_what_meets_in_part_is_told_with_the_first_id_of_what_does_not() -> None:
    meeting = met({"q1": ["a"], "q3 ": ["a"], "q5": ["a"]}, {"q1": {"a": 1}, "q3": {"a": 1}, "q4": {"a": 1}})
    assert (meeting.candidates, meeting.judged, meeting.shared) == (3, 3, 1)
    assert list(meeting.remarks()) == [
        "2 of 3 judged queries have no candidates and count as 0, such as 'q3' ('q3' is 'q3 ' among the candidates)",
        "2 of 3 queries with candidates are not judged, such as 'q3 '",
    ]
    assert all(" (before data.limit), " in told for told in meeting.remarks(limited=True))


def test_a_run_without_any_query_is_refused() -> None:
    assert met({}, {"q1": {"a": 1}}).refusal("run", "qrels") == "run has no query: give the one that qrels judges"


def test_documents_are_asked_for_only_until_the_first_judged_one() -> None:
    encounter = Encounter({"q1": {"a": 1}, "q2": {"b": 1}})
    encounter.add("q1", lambda: ["x", "a"])
    encounter.add("q2", _not_asked)
    encounter.add("q3", _not_asked)
    assert encounter.meeting() == Meeting(3, 2, 2, without_judgements="q3")


def _not_asked() -> list[str]:
    raise AssertionError
