"""Who judged, counted, and the words that mark it."""

from __future__ import annotations

from stages.core.judges import by_query, judge_of, judged_by, mark_of, shown_name
from stages.core.records import Judgements


def test_judgements_without_a_judge_are_people_s_and_so_are_runs_that_do_not_tell() -> None:
    found = judged_by(Judgements({"q1": {"d1": 1, "d2": 0}}))
    assert (found.by, found.queries_by_people, found.pairs_by_people) == ("people", 1, 2)
    assert mark_of({}) is None
    assert judge_of({"judgements": {"kind": "qrels"}}) is None


def test_a_query_with_one_grade_of_a_model_s_counts_as_the_model_s() -> None:
    both = Judgements(
        {"q1": {"d1": 1, "d2": 0}, "q2": {"d1": 2}},
        judge="tiny",
        by_model={"q1": {"d2": 0}},
        by_people={"q1": {"d1": 1}, "q2": {"d1": 2}},
    )
    found = judged_by(both)
    assert (found.by, found.queries_by_people, found.queries_by_model, found.pairs_by_model) == ("both", 1, 1, 1)


def test_the_mark_names_the_judge_and_how_many_queries_are_its() -> None:
    told = {"by": "both", "judge": "tiny", "queries_by_people": 2, "queries_by_model": 3}
    assert mark_of({"judgements": told}) == "by model judgement (tiny) of 3 of 5 queries"
    assert mark_of({"judgements": told | {"by": "model"}}) == "by model judgement (tiny)"


def test_a_marked_key_is_told_in_words() -> None:
    assert shown_name("by_model/ndcg_at_10") == "ndcg@10, by model judgement"
    assert shown_name("ndcg_at_10") == "ndcg@10"


def test_each_query_is_people_s_or_the_model_s_and_without_a_judge_nothing_is_told() -> None:
    grades = {"q1": {"d": 1}, "q2": {"d": 1}}
    assert by_query(Judgements(grades)) == {}
    judged = Judgements(grades, judge="tiny", by_model=grades, by_people={"q2": {"d": 1}})
    assert by_query(judged) == {"q1": "model", "q2": "people"}


def test_who_judged_is_part_of_what_was_judged() -> None:
    grades = {"q1": {"d1": 1}}
    by_model = Judgements(grades, judge="tiny", by_model=grades)
    by_both = Judgements(grades, judge="tiny", by_model=grades, by_people=grades)
    assert len({one.digest for one in (Judgements(grades), by_model, by_both)}) == 3


def test_some_queries_alone_keep_who_judged_them() -> None:
    both = Judgements(
        {"q1": {"d": 1}, "q2": {"d": 2}}, judge="t", by_model={"q1": {"d": 1}}, by_people={"q2": {"d": 2}}
    )
    assert both.of(["q2", "q9"]) == Judgements({"q2": {"d": 2}}, judge="t", by_people={"q2": {"d": 2}})
