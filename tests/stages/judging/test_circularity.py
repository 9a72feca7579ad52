"""A judge that favours what it resembles is told, and one that does not is not accused."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from stages.judging.circularity import circularity
from stages.judging.leaning import Labelled, Values
from stages.quality.interval import mean_interval
from tests.examples import some_of
from tests.faults.circular_judges import FAVOUR, NULL, ROUNDS, told
from tests.faults.graded import FOREIGN, ITSELF, gains, judged
from tests.faults.judge_intervals import JUDGED

DOCS = [Path(__file__).parents[3] / "docs" / name for name in ("judging.md", "judging.zh.md")]
RNG = np.random.default_rng(25)
Y = RNG.normal(0.1, 0.2, 20)


def both(people: Values, model: Values, size: int = 500) -> Labelled:
    return Labelled(size, people, model, np.zeros(size - len(people)))


def test_the_error_is_the_mean_of_what_the_model_says_more_with_the_interval_of_every_other_mean() -> None:
    f = Y + RNG.normal(0.2, 0.1, 20)
    found = circularity([both(Y, f)], 0.95)
    assert found.error == pytest.approx((f - Y).mean())
    assert found.interval == pytest.approx(mean_interval(f - Y, 0.95))
    assert found.told
    assert found.words.startswith(
        f"by 20 queries that both judged the change over all is {found.error:.4f} larger by the model"
    )
    assert found.words.endswith(": more than chance, so it favours the order after")


def test_seen_from_the_other_order_it_is_mirrored() -> None:
    f = Y + RNG.normal(0.2, 0.1, 20)
    found = circularity([both(-Y, -f)], 0.95)
    assert found.told
    assert found.error is not None
    assert found.error < 0
    assert "smaller by the model's grades" in found.words
    assert found.words.endswith("favours the order before")


def test_a_small_error_may_be_chance() -> None:
    f = Y + np.resize([0.2, -0.2], 20)
    found = circularity([both(Y, f + np.linspace(0, 0.01, 20))], 0.95)
    assert not found.told
    assert found.words.endswith(": that may be chance")


def test_strata_count_by_their_sizes_and_what_cannot_change_has_no_error() -> None:
    f = Y + RNG.normal(0.2, 0.1, 20)
    none = np.zeros(100)
    found = circularity([both(Y, f, 100), Labelled(100, none, none, np.zeros(0))], 0.95)
    assert found.error == pytest.approx((f - Y).mean() / 2)


@pytest.mark.parametrize(
    ("people", "model", "words"),
    [
        (Y[:8], Y[:8] + 0.3 + 0.01 * Y[:8], "too few to say whether the judge favours either order"),
        (Y, Y + np.where(np.arange(20) < 9, 0.5, 0.0), "too few to say whether the judge favours either order"),
        (Y, Y, "by the model's grades the change is that by people's in all 20 queries that both judged"),
        (Y, Y + 0.25, "the model's error is the same in all 20 queries that both judged: it has no spread"),
        (Y[:1], Y[:1], "1 query judged by people and the model: its error on the change is not known"),
        (Y[:0], Y[:0], "0 queries judged by people and the model: its error on the change is not known"),
    ],
    ids=["few judged", "few errors", "none", "all alike", "one query", "no query"],
)
def test_where_it_cannot_be_told_the_words_say_why(people: Values, model: Values, words: str) -> None:
    found = circularity([both(people, model)], 0.95)
    assert not found.told
    assert found.interval is None
    assert found.words.endswith(words)


def kappa(a: np.ndarray, b: np.ndarray) -> float:  # type: ignore[type-arg]
    by_chance = (np.bincount(a.ravel()) / a.size) @ (np.bincount(b.ravel()) / b.size)
    return float(((a == b).mean() - by_chance) / (1 - by_chance))


def test_the_simulated_judges_are_as_good_as_published_ones_and_favour_as_much() -> None:
    people, model = judged(2000)
    assert kappa(people, model) == pytest.approx(0.286, abs=0.02)
    assert kappa(people // 2, model // 2) == pytest.approx(0.40, abs=0.02)
    assert (people[model >= 2] >= 2).mean() == pytest.approx(0.64, abs=0.02)
    for scenario, by_people, by_model in ((ITSELF, 0.124, 0.357), (FOREIGN, 0.121, 0.225)):
        found = gains(scenario)
        assert found.people.mean() == pytest.approx(by_people, abs=0.01)
        assert found.model.mean() == pytest.approx(by_model, abs=0.01)


@pytest.mark.scaled
@pytest.mark.parametrize("n", JUDGED)
def test_a_judge_that_does_not_favour_is_accused_no_more_often_than_promised(n: int) -> None:
    rounds = some_of(ROUNDS)
    for scenario in NULL:
        assert told(scenario, n, rounds, seed=1) <= stats.binom.ppf(0.999, rounds, 0.05)


@pytest.mark.scaled
def test_a_judge_of_itself_is_told_from_ten_queries_and_a_foreign_one_from_fifty() -> None:
    rounds = some_of(200)
    assert told(ITSELF, 10, rounds) >= 0.9 * rounds
    assert told(FOREIGN, 50, rounds) >= 0.85 * rounds


def test_the_table_in_both_languages_has_both_kinds_of_judges_and_few_false_alarms() -> None:
    english, chinese = (
        [
            [float(one) for one in line.strip("| ").split(" | ")[1:]]
            for line in path.read_text("utf-8").splitlines()
            if re.search(r"^\|[^|]*(\| \d+\.\d ){4}\|$", line)
        ]
        for path in DOCS
    )
    assert english == chinese
    assert len(english) == len(FAVOUR) + len(NULL)
    for row in english[len(FAVOUR) :]:
        assert max(row) <= 100 * stats.binom.ppf(0.99, ROUNDS, 0.05) / ROUNDS


def test_a_judge_that_sees_no_change_at_all_is_not_said_to_favour_an_order() -> None:
    found = circularity([both(Y + 0.5, np.zeros(20))], 0.95)
    assert found.told
    assert found.words.endswith(": more than chance, as it sees no change in any of them")
