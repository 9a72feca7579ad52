"""What fits a budget of tokens is what somebody finds who fills the prompt by hand."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import ConfigError, DataError
from stages.core.records import Judgements
from stages.core.words import written_name
from stages.quality.evaluate import evaluate
from stages.quality.measures import metric_key, nearest_metric, parse_metric
from stages.quality.prompt_tokens import curve, saving, tokens_needed
from tests.examples import examples

BUDGETS = (1, 30, 100, 250, 1000)


def packed_by_hand(ranking: list[str], tokens: dict[str, int], budget: int) -> list[str]:
    """Best first, whole, until one does not fit, or nobody knows how long it is."""
    prompt: list[str] = []
    for doc_id in ranking:
        if doc_id not in tokens:
            break
        if sum(tokens[one] for one in prompt) + tokens[doc_id] > budget:
            break
        prompt.append(doc_id)
    return prompt


def made(seed: int, queries: int = 30) -> tuple[dict[str, list[str]], Judgements]:
    rng = random.Random(seed)
    rankings, grades, tokens = {}, {}, {}
    for number in range(queries):
        query_id, documents = f"q{number:02}", [f"d{place}" for place in range(rng.randint(1, 12))]
        rng.shuffle(documents)
        rankings[query_id] = documents
        grades[query_id] = {one: int(rng.random() < 0.2) for one in documents}
        tokens[query_id] = {one: rng.randint(0, 120) for one in documents if rng.random() < 0.9}
    return rankings, Judgements(grades, "answers", "tokens", tokens)


@given(st.integers(0, 10_000))
@examples(60)
def test_values_are_those_of_a_prompt_filled_by_hand(seed: int) -> None:
    rankings, judgements = made(seed)
    found = evaluate(rankings, judgements, [f"answer_recall@tokens={budget}" for budget in BUDGETS])
    for budget in BUDGETS:
        by_hand = tuple(
            float(
                any(
                    judgements.grades[query_id][one]
                    for one in packed_by_hand(ranking, dict(judgements.tokens[query_id]), budget)
                )
            )
            for query_id, ranking in sorted(rankings.items())
        )
        assert found.values[f"answer_recall@tokens={budget}"] == by_hand


@given(st.integers(0, 10_000), st.integers(1, 400), st.integers(0, 400))
@examples(60)
def test_a_larger_budget_or_another_answer_never_takes_one_away(seed: int, budget: int, more: int) -> None:
    rankings, judgements = made(seed)
    names = [f"answer_recall@tokens={budget}", f"answer_recall@tokens={budget + more}"]
    if more:
        small, large = evaluate(rankings, judgements, names).values.values()
        assert all(one <= other for one, other in zip(small, large, strict=True))
    grades = {query_id: dict(of_query) for query_id, of_query in judgements.grades.items()}
    for of_query in grades.values():
        of_query[next(iter(of_query))] = 1
    added = evaluate(rankings, Judgements(grades, "answers", "tokens", judgements.tokens), names[:1])
    before = evaluate(rankings, judgements, names[:1])
    assert all(one <= other for one, other in zip(before.values[names[0]], added.values[names[0]], strict=True))


def test_answer_recall_at_k_is_whether_an_answer_is_in_the_top_k() -> None:
    judgements = Judgements({"a": {"x": 0, "y": 1, "z": 1}, "b": {"x": 0}, "c": {}}, "answers")
    found = evaluate({"a": ["x", "y", "z"], "b": ["x"]}, judgements, ["answer_recall@1", "answer_recall@2"])
    assert found.values == {"answer_recall@1": (0.0, 0.0, 0.0), "answer_recall@2": (1.0, 0.0, 0.0)}
    assert found.mean("answer_recall@2") == pytest.approx(1 / 3)


def test_a_query_of_which_nothing_could_be_judged_counts_as_0_in_every_metric() -> None:
    judgements = Judgements({"a": {"x": 1}, "c": {}}, "answers")
    metrics = ["ndcg@10", "mrr", "map", "recall@5", "precision@5", "answer_recall@5", "r-precision", "bpref"]
    found = evaluate({"a": ["x"], "c": ["x", "y"]}, judgements, metrics)
    assert {name: values[1] for name, values in found.values.items()} == dict.fromkeys(metrics, 0.0)


def test_qrels_have_no_answers_and_judgements_without_tokens_no_budget() -> None:
    with pytest.raises(DataError, match=r"answer_recall@5 is of judgements from answers, .* take hit_rate@k"):
        evaluate({"a": ["x"]}, Judgements({"a": {"x": 1}}), ["answer_recall@5"])
    with pytest.raises(DataError, match="answer_recall@tokens=9 needs the tokens"):
        evaluate({"a": ["x"]}, Judgements({"a": {"x": 1}}, "answers"), ["answer_recall@tokens=9"])


def test_names_are_read_and_written_back() -> None:
    name = "answer_recall@tokens=2000"
    assert (parse_metric(name).tokens, parse_metric(name).cutoff) == (2000, 0)
    assert metric_key(name) == "answer_recall_at_tokens_2000"
    assert written_name(metric_key(name)) == name
    written = ("answer_recall_at_tokens_2000", "answers_recall@tokens=5", "answer_recal@7")
    assert [nearest_metric(one) for one in written] == [
        name,
        "answer_recall@tokens=5",
        "answer_recall@7",
    ]
    for wrong in ("ndcg@tokens=10", "answer_recall@tokens=0", "answer_recall@5-l2", "answer_recall@tokens"):
        with pytest.raises(ConfigError, match="Unknown metric"):
            parse_metric(wrong)


def least_by_hand(needed: list[float], queries: int) -> float:
    """Try one budget after the other."""
    budget = 0
    while sum(one <= budget for one in needed) < queries:
        budget += 1
    return budget


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60), st.booleans()), min_size=1, max_size=12),
    st.integers(1, 60),
)
@examples(60)
def test_what_is_saved_is_what_trying_every_budget_finds(queries: list[tuple[int, int, bool]], budget: int) -> None:
    first = [math.inf if never else float(one) for one, _, never in queries]
    reranked = [math.inf if never else float(other) for _, other, never in queries]
    found = saving(np.array(first), np.array(reranked), budget, seed=0, confidence=0.95)
    reached = sum(one <= budget for one in first)
    assert found.recall == reached / len(queries)
    if not reached:
        assert (found.saved, found.interval) == (None, None)
        return
    before, after = least_by_hand(first, reached), least_by_hand(reranked, reached)
    assert (found.first_tokens, found.reranked_tokens, found.saved) == (before, after, before - after)
    assert found.interval is not None and found.interval.low <= found.interval.high


def test_the_interval_holds_a_known_saving_and_excludes_none_where_it_is_plain() -> None:
    rng = np.random.default_rng(5)
    first = rng.integers(200, 2000, 400).astype(float)
    found = saving(first, first - 100, 1500, seed=0, confidence=0.95)
    assert found.saved == 100 and found.interval == (100, 100)
    other = saving(first, rng.permutation(first), 1500, seed=0, confidence=0.95)
    assert other.interval is not None and other.interval.low < 0 < other.interval.high


def test_a_list_that_never_finds_as_much_has_no_saving() -> None:
    found = saving(np.array([5.0, 9.0]), np.array([4.0, math.inf]), 10, seed=0, confidence=0.95)
    assert (found.recall, found.reranked_recall, found.saved, found.interval) == (1.0, 0.5, None, None)


def test_the_curve_rises_from_the_first_answer_to_the_last_and_has_the_named_budgets() -> None:
    first, reranked = np.array([10.0, 400.0, math.inf]), np.array([5.0, 100.0, math.inf])
    rows = curve(first, reranked, [50, 1000])
    assert (rows[0]["tokens"], rows[-1]["tokens"]) == (5, 1000)
    assert {50, 1000} <= {row["tokens"] for row in rows}
    assert [row["first_stage"] for row in rows] == sorted(row["first_stage"] for row in rows)
    assert rows[-1]["reranked"] == rows[-1]["first_stage"] == pytest.approx(2 / 3)
    assert curve(np.array([math.inf]), np.array([math.inf]), [50]) == []


def test_documents_without_a_text_take_no_room_and_behind_an_unknown_one_nothing_is_known() -> None:
    assert tokens_needed(["a", "b", "c"], {"c": 1}, {"a": 0, "b": 7, "c": 3}) == 10
    assert tokens_needed(["a", "b", "c"], {"c": 1}, {"a": 0, "c": 3}) == math.inf
