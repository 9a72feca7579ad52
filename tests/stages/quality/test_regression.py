"""A gate passes, fails or cannot tell, and says why."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.quality.regression import Check, Ruling, check_drop, check_limit, worst
from stages.quality.significance import Difference, compare_values

QUERIES = 200


def moved(mean: float, sd: float, queries: int = QUERIES) -> Difference:
    """Differences with exactly this mean and spread."""
    noise = np.random.default_rng(1).normal(size=queries)
    noise = (noise - noise.mean()) / (noise.std() or 1)
    return compare_values(np.full(queries, 0.5), 0.5 + mean + sd * noise, permutations=100)


@pytest.mark.parametrize(
    ("mean", "sd", "outcome"),
    [
        (0.0, 0.0, Ruling.PASSED),
        (0.05, 0.1, Ruling.PASSED),
        (-0.005, 0.01, Ruling.PASSED),
        (-0.05, 0.05, Ruling.REGRESSED),
        (-0.05, 0.0, Ruling.REGRESSED),
        (-0.01, 0.3, Ruling.CANNOT_TELL),
        (0.01, 0.3, Ruling.CANNOT_TELL),
        (-0.03, 0.3, Ruling.CANNOT_TELL),
    ],
)
def test_a_drop_is_judged_by_its_whole_interval(mean: float, sd: float, outcome: Ruling) -> None:
    assert check_drop("ndcg@10", moved(mean, sd), 0.01).outcome == outcome


def test_the_sentence_names_the_metric_the_drop_the_interval_and_what_is_allowed() -> None:
    words = check_drop("ndcg@10", moved(-0.05, 0.05), 0.01).words
    assert words.startswith("ndcg@10 fell by 0.0500 (95 % interval -0.05")
    assert words.endswith("more than the 0.01 that is allowed")


def test_what_cannot_be_told_says_how_many_queries_would_tell() -> None:
    difference = moved(-0.03, 0.3)
    words = check_drop("mrr", difference, 0.01).words
    # The interval reaches 1.96 * 0.3 / sqrt(200) = 0.042 from the mean; the margin is 0.02 away.
    needed = int(words.split("about ")[1].split(" queries")[0].replace(",", ""))
    assert needed == pytest.approx(200 * (0.042 / 0.02) ** 2, rel=0.15)


@pytest.mark.parametrize("after", [[0.48, 0.47], [0.5, 0.5], [0.9, 0.9], [0.4], [0.0] * 19])
def test_fewer_queries_than_the_minimum_cannot_tell_whatever_they_are(after: list[float]) -> None:
    few = compare_values([0.5] * len(after), after)
    check = check_drop("mrr", few, 0.01)
    assert check.outcome == Ruling.CANNOT_TELL
    queries = "1 query" if len(after) == 1 else f"{len(after)} queries"
    assert check.words.endswith(f" over {queries}: too few to say how sure that is (gate.min_queries is 20)")


def test_the_minimum_is_the_users() -> None:
    two = compare_values([0.5, 0.5], [0.48, 0.48])
    assert check_drop("mrr", two, 0.01, min_queries=2).outcome == Ruling.REGRESSED
    many = moved(-0.05, 0.05)
    assert check_drop("mrr", many, 0.01, min_queries=QUERIES).outcome == Ruling.REGRESSED
    assert check_drop("mrr", many, 0.01, min_queries=QUERIES + 1).outcome == Ruling.CANNOT_TELL


@pytest.mark.parametrize("queries", [1, 2, 200])
def test_the_same_lists_pass_at_any_number_of_queries(queries: int) -> None:
    same = compare_values([0.5] * queries, [0.5] * queries)
    check = check_drop("mrr", same, 0.0, same_lists=True)
    assert (check.outcome, check.interval) == (Ruling.PASSED, (0.0, 0.0))
    assert check.words == "mrr did not move: every list is the baseline's"


def test_the_same_lists_with_other_judgements_are_judged_by_what_moved() -> None:
    assert check_drop("mrr", moved(-0.05, 0.05), 0.01, same_lists=True).outcome == Ruling.REGRESSED


def test_what_decided_is_kept_with_the_check() -> None:
    difference = moved(-0.05, 0.05)
    assert check_drop("mrr", difference, 0.01).interval == difference.interval


def test_how_many_queries_would_tell_is_of_the_end_that_is_too_far() -> None:
    skewed = compare_values([0.5] * 40, [0.5] * 36 + [0.1, 0.3, 0.45, 0.45], permutations=1)
    assert skewed.interval is not None and skewed.difference - skewed.interval.low > 0.03
    words = check_drop("mrr", skewed, 0.03).words
    reach, room = skewed.difference - skewed.interval.low, skewed.difference + 0.03
    needed = int(words.split("about ")[1].split(" queries")[0].replace(",", ""))
    assert needed == pytest.approx(40 * (reach / room) ** 2, rel=0.06)


@given(st.floats(0, 0.2), st.floats(0, 0.2), st.floats(-0.2, 0.2), st.floats(0, 0.3))
def test_a_larger_allowance_never_makes_the_outcome_worse(a: float, b: float, mean: float, sd: float) -> None:
    order = list(Ruling)
    difference = moved(mean, sd, queries=30)
    strict, lax = (check_drop("m", difference, allowed).outcome for allowed in sorted((a, b)))
    assert order.index(lax) <= order.index(strict)


@pytest.mark.parametrize(
    ("value", "most", "least", "outcome"),
    [
        (200.0, 200.0, None, Ruling.PASSED),
        (200.1, 200.0, None, Ruling.REGRESSED),
        (99.0, None, 100.0, Ruling.REGRESSED),
        (100.0, None, 100.0, Ruling.PASSED),
        (None, 200.0, None, Ruling.CANNOT_TELL),
    ],
)
def test_limits_hold_at_their_very_value(
    value: float | None, most: float | None, least: float | None, outcome: Ruling
) -> None:
    assert check_limit("queue_p95_ms", value, most=most, least=least).outcome == outcome


def test_a_limit_says_where_it_comes_from() -> None:
    check = check_limit("tied_share", 0.5, most=0.05, reason="0.05 above the baseline")
    assert check.words == "tied_share is 0.5, over the limit of 0.05 (0.05 above the baseline)"


def test_a_regression_outweighs_what_cannot_be_told_and_that_what_passed() -> None:
    checks = [Check("a", outcome, "") for outcome in Ruling]
    assert worst(checks) == Ruling.REGRESSED
    assert worst(checks[:2]) == Ruling.CANNOT_TELL
    assert worst(checks[:1]) == worst([]) == Ruling.PASSED
