"""The verdict where a model judged: with people's grades an interval, without them the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from stages.core.records import Judgements
from stages.judging.inference import Method
from stages.judging.labelled import Draw, opinions
from stages.judging.precision import About
from stages.judging.second_opinion import ModelVerdict, model_verdict, model_verdicts

METRIC, JUDGE = "ndcg@5", "tiny@0123456789ab"
DOCUMENTS = [f"d{number}" for number in range(8)]
Lists = dict[str, list[str]]


def collection(
    queries: int, judged: int, *, kappa: float = 0.7, favour: float = 0.0
) -> tuple[Lists, Lists, Judgements]:
    """Lists before and after, and judgements: people's of the first `judged` queries, a model's of all, which says what
    people would with a chance of `kappa`; of a share `favour` of the queries it grades by the order after.
    """
    rng, judge = np.random.default_rng(1), np.random.default_rng(2)
    before, after, people, model = dict[str, list[str]](), dict[str, list[str]](), {}, {}
    for number in range(queries):
        query_id = f"q{number:03}"
        truth = dict(zip(DOCUMENTS, rng.integers(0, 4, len(DOCUMENTS)).tolist(), strict=True))
        before[query_id] = rng.permutation(DOCUMENTS).tolist()
        after[query_id] = sorted(before[query_id], key=lambda one, truth=truth: -truth[one] + rng.normal(0, 4))
        said = {one: grade if judge.random() < kappa else int(judge.integers(0, 4)) for one, grade in truth.items()}
        if judge.random() < favour:
            said = dict(zip(after[query_id], (3, 3, 2, 2, 1, 1, 0, 0), strict=True))
        model[query_id] = said
        if number < judged:
            people[query_id] = truth
    grades = {query_id: people.get(query_id, model[query_id]) for query_id in model}
    return before, after, Judgements(grades, judge=JUDGE, by_model=model, by_people=people)


def verdict(given: tuple[Lists, Lists, Judgements], **asked: object) -> ModelVerdict:
    return model_verdict(*given, METRIC, About.LIKE_THESE, 0.95, **asked)  # type: ignore[arg-type]


def test_by_a_model_alone_there_is_no_interval_and_the_sentence_says_why() -> None:
    found = verdict(collection(40, 0))
    assert found.change.method is None
    assert not found.told
    (told,) = found.words
    assert told == (
        f"by model judgement ({JUDGE}), ndcg@5 rises by {found.by_model:.4f} from first stage to reranked: no interval "
        "covers the judge's own error, as people judged no query"
    )


def test_by_a_model_alone_what_it_left_ungraded_bounds_the_number() -> None:
    assert (
        "Whatever it left ungraded, that is between +0.1000 and +0.2000"
        in verdict(collection(9, 0), bounds=(0.1, 0.2)).words[0]
    )


def test_people_s_grades_of_some_queries_and_a_good_model_s_of_all_make_one_interval() -> None:
    given = collection(200, 60, kappa=0.9)
    found = verdict(given)
    assert found.change.method in (Method.PPI, Method.TUNED)
    assert found.change.n >= 55
    assert found.change.interval is not None
    assert "prediction-powered inference" in found.words[0]
    assert "were drawn at random, which nobody told" in found.words[-1]
    assert "nobody told" not in " ".join(verdict(given, draw=Draw(dict.fromkeys(given[0], ""), set(given[0]))).words)


def test_a_judge_that_favours_the_reranker_is_the_second_sentence_and_moves_the_interval_little() -> None:
    fair, favouring = verdict(collection(300, 100)), verdict(collection(300, 100, favour=0.9))
    assert favouring.error is not None and favouring.error.told
    assert favouring.words[1] == favouring.error.words
    assert "so it favours the order after" in favouring.words[1]
    assert favouring.by_model - fair.by_model > 0.05
    assert fair.change.mean is not None and favouring.change.mean is not None
    assert abs(favouring.change.mean - fair.change.mean) < 0.03


def test_relatives_are_the_second_sentence_whatever_the_statistics_say() -> None:
    given = collection(100, 40)
    assert verdict(given, kin="both are Q").words[1] == "both are Q"
    assert verdict(collection(9, 0), kin="both are Q").words[1] == "both are Q"


def test_a_query_counts_as_people_s_only_where_they_judged_its_whole_pool() -> None:
    before, after, judged = collection(30, 20)
    assert len(opinions(before, after, judged, [METRIC])[METRIC].people) == 20
    # Of one query the last document of the pool, which both lists show, is missing.
    lost = {query_id: dict(grades) for query_id, grades in judged.by_people.items()}
    lost["q000"].pop(after["q000"][0])
    assert "q000" not in opinions(before, after, replace(judged, by_people=lost), [METRIC])[METRIC].people


def test_where_people_judged_what_the_metric_sees_and_no_more_that_is_the_pool_of_both() -> None:
    before, after, judged = collection(60, 40)
    shown = {query_id: {*before[query_id][:5], *after[query_id][:5]} for query_id in before}
    assert any(len(one) < len(DOCUMENTS) for one in shown.values())
    less = {
        query_id: {doc_id: grade for doc_id, grade in grades.items() if doc_id in shown[query_id]}
        for query_id, grades in judged.by_people.items()
    }
    found = opinions(before, after, replace(judged, by_people=less), [METRIC])[METRIC]
    assert found.of_lists
    assert len(found.people) == 40
    told = verdict((before, after, replace(judged, by_people=less)))
    assert any("people did not judge all else" in one for one in told.words)


@pytest.mark.parametrize(("metric", "said"), [("ndcg@5", True), ("recall@5", True), ("mrr@5", False)])
def test_what_people_found_outside_the_pool_is_told_of_metrics_that_look_at_all_relevant_documents(
    metric: str, said: bool
) -> None:
    before, after, judged = collection(60, 40)
    more = {query_id: {**grades, "elsewhere": 2, "useless": 0} for query_id, grades in judged.by_people.items()}
    found = model_verdict(before, after, replace(judged, by_people=more), metric, About.LIKE_THESE, 0.95)
    told = f"{metric} is of the pool alone here: 40 documents outside it that people call relevant"
    assert any(told in one for one in found.words) == said
    assert not any("of the pool alone" in one for one in verdict((before, after, judged)).words)


def test_a_query_whose_lists_are_the_same_has_no_change_and_needs_no_judge() -> None:
    before, after, judged = collection(50, 30)
    for query_id in list(after)[40:]:
        after[query_id] = before[query_id]
    found = opinions(before, after, judged, [METRIC])[METRIC]
    *_, known = found.of_change()
    assert (known.size, len(known.rest)) == (10, 0)
    assert not known.people.any()
    nothing = verdict((before, before, judged))
    assert nothing.words[0].endswith("it does not change, whoever judges")


def test_a_model_that_gave_no_grade_tells_no_change_and_not_that_there_is_none() -> None:
    before, after, _ = collection(40, 0)
    for grades in ({}, {"q000": {}}):
        found = verdict((before, after, Judgements({}, judge=JUDGE, by_model=grades)))
        assert found.by_model is None
        assert found.words[0].startswith(f"{JUDGE} gave no grade at all: ndcg@5 tells no change")
        assert "does not change" not in found.words[0]


def test_what_people_judged_and_the_model_was_not_asked_for_is_not_taken_for_irrelevant() -> None:
    before, after, judged = collection(40, 0)
    truth, asked = judged.by_model, set(DOCUMENTS[:4])
    by_people, by_model = (
        {
            query_id: {one: grade for one, grade in grades.items() if (one in asked) == of_model}
            for query_id, grades in truth.items()
        }
        for of_model in (False, True)
    )
    found = verdict((before, after, Judgements(truth, judge=JUDGE, by_model=by_model, by_people=by_people)))
    assert found.by_model == pytest.approx(verdict((before, after, judged)).by_model, abs=0.01)
    filled = sum(len({*before[one][:5], *after[one][:5]} - asked) for one in before)
    assert f", and people's grades of {filled} pairs that it gave none, ndcg@5 rises by" in found.words[0]


def test_where_the_model_was_not_asked_about_people_s_queries_people_alone_decide() -> None:
    before, after, judged = collection(120, 60)
    skipped = {query_id: grades for query_id, grades in judged.by_model.items() if query_id not in judged.by_people}
    found = verdict((before, after, replace(judged, by_model=skipped)))
    assert found.change.method is Method.PEOPLE
    assert found.error is None
    assert "gave no grade of 60 of them" in found.words[0]


def test_a_plan_s_strata_are_kept_and_who_was_not_drawn_does_not_count() -> None:
    before, after, judged = collection(60, 30)
    strata = {query_id: "even" if number % 2 == 0 else "odd" for number, query_id in enumerate(before)}
    found = opinions(before, after, judged, [METRIC], Draw(strata, {f"q{number:03}" for number in range(20)}))[METRIC]
    assert sorted((one.size, len(one.people)) for one in found.of_change()) == [(30, 10), (30, 10)]


def test_of_one_stratum_those_that_were_not_drawn_need_not_be_told() -> None:
    before, after, judged = collection(60, 30)
    drawn = {f"q{number:03}" for number in range(20)}
    for strata in ({}, dict.fromkeys(drawn, "")):
        found = opinions(before, after, judged, [METRIC], Draw(strata, drawn))[METRIC]
        assert [(one.size, len(one.people)) for one in found.of_change()] == [(60, 20)]


def test_of_several_strata_a_query_without_one_lets_no_interval_be_told() -> None:
    before, after, judged = collection(60, 30)
    strata = {f"q{number:03}": "even" if number % 2 == 0 else "odd" for number in range(50)}
    found = verdict((before, after, judged), draw=Draw(strata, set(strata)))
    assert not found.told
    assert "fewer than two" in found.words[0]


def test_means_of_one_side_need_judged_queries_in_every_stratum() -> None:
    before, after, judged = collection(80, 50)
    for query_id in list(after)[70:]:  # nobody judged these, and they do not change
        after[query_id] = before[query_id]
    found = verdict((before, after, judged))
    assert found.told
    assert found.first.interval is None
    assert "fewer than two" in found.first.reason
    whole = verdict(collection(80, 50))
    assert whole.first.interval is not None and whole.second.interval is not None


def test_several_metrics_are_told_at_once_as_each_by_itself() -> None:
    given = collection(60, 30)
    several = model_verdicts(*given, ["ndcg@5", "mrr@3", "recall@5", "judged@5"], About.THESE, 0.9)
    assert list(several) == ["ndcg@5", "mrr@3", "recall@5"]
    assert several["mrr@3"] == model_verdict(*given, "mrr@3", About.THESE, 0.9)


def test_where_people_judged_every_query_the_change_of_these_is_exact() -> None:
    given = collection(25, 25)
    found = model_verdict(*given, METRIC, About.THESE, 0.95)
    assert found.change.method is Method.EXACT
    truth = _change(given[0], given[1], given[2].by_people)
    assert found.change.mean == pytest.approx(truth)


def _change(before: Lists, after: Lists, grades: Mapping[str, Mapping[str, int]]) -> float:
    def ndcg(ranking: list[str], judged: Mapping[str, int]) -> float:
        ideal = sorted(judged.values(), reverse=True)[:5]
        gains = [judged[one] for one in ranking[:5]]
        weights = 1 / np.log2(np.arange(2, 7))
        return float(np.dot(gains, weights) / np.dot(ideal, weights))

    return float(np.mean([ndcg(after[one], judged) - ndcg(before[one], judged) for one, judged in grades.items()]))


def test_no_sentence_ends_in_a_full_stop_or_says_a_number_without_its_source() -> None:
    for judged, (low, high) in zip((0, 5, 30), pairwise((0.0, 0.1, 0.2, 0.3)), strict=True):
        found = verdict(collection(40, judged), bounds=(low, high))
        assert not any(one.endswith(".") for one in found.words)
        assert JUDGE in found.words[0] or "by people" in found.words[0].lower()


def test_where_people_judged_every_query_no_draw_is_asked_for() -> None:
    all_judged, some = verdict(collection(60, 60)), verdict(collection(60, 59))
    assert all_judged.told
    assert some.told
    assert "drawn at random" in " ".join(some.words)
    assert "drawn at random" not in " ".join(all_judged.words)
