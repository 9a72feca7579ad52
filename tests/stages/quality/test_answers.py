"""Candidates are judged by the answers that they contain, and answers that tell little are told."""

from __future__ import annotations

import pytest

from stages.core.errors import DataError
from stages.core.records import Answers, Candidates, Judgements, Location, SetAside
from stages.quality.answers import AnswerJudge
from stages.quality.has_answer import Match

WHERE = Location("queries.jsonl", 1)


def judge(answers: dict[str, list[str]], match: Match = "tokens") -> tuple[AnswerJudge, list[SetAside]]:
    aside: list[SetAside] = []
    given = {query_id: Answers(tuple(texts), WHERE) for query_id, texts in answers.items()}
    return AnswerJudge(given, match, aside.append), aside


def candidates(query_id: str, **texts: str) -> Candidates:
    return Candidates(query_id, "?", tuple(texts), tuple(texts.values()), tuple(-float(n) for n in range(len(texts))))


def test_a_candidate_that_holds_any_answer_is_relevant_and_every_other_is_not() -> None:
    judging, aside = judge({"a": ["Rome", "Roma"], "b": ["7"], "never retrieved": ["x y z"]})
    judging.see(candidates("a", d1="in ROMA.", d2="in romance", d3="Rome or Roma"))
    judging.see(candidates("b", d1="1998", d2="7 days"))
    judging.see(candidates("without answers", d1="in Rome"))
    found = judging.judgements()
    assert found == Judgements(
        {"a": {"d1": 1, "d2": 0, "d3": 1}, "b": {"d1": 0, "d2": 1}, "never retrieved": {}}, "answers", "tokens"
    )
    assert aside == []


def test_answers_in_none_and_in_all_candidates_and_short_ones_are_told_with_an_example() -> None:
    judging, _ = judge({"a": ["an"], "b": ["Genoa"], "c": ["the"], "d": ["alone"]})
    judging.see(candidates("a", d1="an ox", d2="oxen"))
    judging.see(candidates("b", d1="Rome", d2="Milan"))
    judging.see(candidates("c", d1="the ox", d2="the cow"))
    judging.see(candidates("d", d1="alone"))
    counts = judging.counts()
    assert (counts.queries, counts.answers) == (4, 4)
    assert [one.count for one in (counts.in_none, counts.in_all, counts.short)] == [1, 1, 1]
    told = "\n".join(counts.remarks())
    assert "not by qrels" in told
    assert "1 of 4 queries have their answer in none of their candidates, such as 'b' ('Genoa')" in told
    assert "1 of 4 queries have an answer in every candidate" in told and "'c' ('the')" in told
    assert "1 of 4 answers have fewer than 3 letters or digits" in told and "'a' ('an')" in told
    assert "Genoa" not in "\n".join(counts.remarks(texts=False))


def test_what_cannot_be_looked_for_is_set_aside_and_its_query_not_judged_by_it() -> None:
    judging, aside = judge({"a": [r"\d{4}", "a("], "b": ["(("]}, "regex")
    judging.see(candidates("a", d1="in 1998", d2="a("))
    assert judging.judgements().grades == {"a": {"d1": 1, "d2": 0}}
    assert [(row.query_id, row.reason.partition(" is no")[0]) for row in aside] == [
        ("a", "answer 'a('"),
        ("b", "answer '(('"),
    ]
    with pytest.raises(DataError, match=r"queries.jsonl:1: no answer can be looked for with answers.match regex"):
        judge({"b": ["(("]}, "regex")


def test_judgements_of_two_kinds_are_never_the_same() -> None:
    grades = {"a": {"d1": 1}}
    kinds = [
        Judgements(grades),
        Judgements(grades, "answers", "tokens"),
        Judgements(grades, "answers", "regex"),
    ]
    assert len({one.digest for one in kinds}) == 3
    assert Judgements(grades, "answers", "tokens", {"a": {"d1": 3}}).digest == kinds[1].digest
