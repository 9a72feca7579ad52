"""Differences, rank correlation, and which explanation fits: by hand, and by what must hold for any scores."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.scoring import sigmoid
from stages.quality.agreement import (
    Agreement,
    agreement,
    differs_beyond,
    explanations,
    first_difference,
    is_noise_of,
    logit,
    nearest_noise,
    taus_by_query,
)

probabilities = st.floats(min_value=0.001, max_value=0.999)


def compare(served: list[float | None], direct: list[float | None], tolerance: float = 0.01) -> Agreement:
    found = agreement(["q"] * len(served), served, direct, tolerance, probabilities=True)
    assert found is not None
    return found


def of_size(size: float, **more: float | None) -> Agreement:
    """Differences that are all of one size."""
    base = Agreement(pairs=10, beyond=10, largest=size, mean=size, typical=size, rms=size, bias=0.0, tau_mean=1.0)
    return replace(base, **more)


# ---- how far apart


def test_differences_are_told_in_scores_and_in_logits() -> None:
    found = compare([0.5, 0.9, 0.2], [0.5, 0.8, 0.3])
    assert (found.pairs, found.beyond) == (3, 2)
    assert found.largest == pytest.approx(0.1)
    assert found.mean == pytest.approx(0.2 / 3)
    assert found.typical == pytest.approx(0.1)
    assert found.rms == pytest.approx(math.sqrt(0.02 / 3))
    assert found.bias == pytest.approx(0.0)
    assert found.logit_largest == pytest.approx(math.log(9) - math.log(4))
    assert found.logit_pairs == 3


def test_a_saturated_probability_gives_no_logit_and_what_was_not_scored_is_left_out() -> None:
    found = compare([1.0, 0.5, None, 0.4], [0.99999, 0.6, 0.7, None])
    assert (found.pairs, found.logit_pairs) == (2, 1)
    assert agreement(["q"], [None], [0.5], 0.1, probabilities=True) is None


def test_cosines_have_no_logits() -> None:
    found = agreement(["q", "q"], [-0.2, 0.4], [-0.1, 0.4], 0.01, probabilities=False)
    assert found is not None
    assert (found.logit_largest, found.logit_mean, found.logit_pairs) == (None, None, 0)


@given(st.lists(st.tuples(probabilities, probabilities), min_size=1, max_size=20))
def test_equal_scores_never_differ_and_sizes_are_ordered(pairs: list[tuple[float, float]]) -> None:
    served, direct = [one for one, _ in pairs], [other for _, other in pairs]
    same = compare([*served], [*served])
    assert (same.largest, same.bias, same.beyond) == (0, 0, 0)
    found = compare([*served], [*direct])
    assert 0 <= abs(found.bias) <= found.mean + 1e-12
    assert found.mean <= found.rms + 1e-12 <= found.largest + 2e-12


@given(probabilities)
def test_a_logit_is_what_the_sigmoid_undoes(probability: float) -> None:
    assert sigmoid(logit(probability)) == pytest.approx(probability)


# ---- rank correlation


def test_kendalls_tau_is_that_of_each_querys_documents() -> None:
    queries = ["up", "up", "up", "down", "down", "down"]
    scores = zip(queries, [0.1, 0.2, 0.3, 0.1, 0.2, 0.3], [0.2, 0.4, 0.9, 0.9, 0.4, 0.2], strict=True)
    assert taus_by_query([*scores]) == {"up": pytest.approx(1.0), "down": pytest.approx(-1.0)}
    found = agreement(queries, [0.1, 0.2, 0.3] * 2, [0.2, 0.4, 0.9, 0.9, 0.4, 0.2], 0.01, probabilities=True)
    assert found is not None
    assert (found.tau_mean, found.tau_lowest_query, found.tau_queries) == (pytest.approx(0), "down", 2)


def test_one_swapped_pair_of_three_gives_a_third() -> None:
    scores = [("q", 0.1, 0.1), ("q", 0.2, 0.3), ("q", 0.3, 0.2)]
    assert taus_by_query(scores) == {"q": pytest.approx(1 / 3)}


def test_a_query_with_one_document_or_one_score_has_no_tau() -> None:
    assert taus_by_query([("alone", 0.1, 0.2), ("same", 0.5, 0.1), ("same", 0.5, 0.2)]) == {}


def test_spearmans_correlation_is_over_all_pairs_and_needs_two_scores_on_each_side() -> None:
    found = compare([0.1, 0.5, 0.9], [0.2, 0.3, 0.8])
    assert found.rank_correlation == pytest.approx(1.0)
    assert compare([0.1, 0.5, 0.9], [0.2, 0.8, 0.3]).rank_correlation == pytest.approx(0.5)
    assert compare([0.5, 0.5], [0.5, 0.51]).rank_correlation is None


def test_scores_of_other_pairs_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="argument 3"):
        agreement(["q", "q"], [0.1, 0.2], [0.1], 0.01, probabilities=True)


# ---- which explanation fits


def test_the_explanation_that_leaves_least_comes_first_and_one_that_leaves_much_explains_nothing() -> None:
    found = of_size(0.2)
    candidates = {"half": of_size(0.1), "right": of_size(0.001), "nearer": of_size(0.03), "untried": None}
    told = explanations(found, candidates, tolerance=0.01)
    assert [(one.name, one.explains) for one in told] == [("right", True), ("nearer", True), ("half", False)]
    assert told[0].nearer == pytest.approx(200)


def test_an_explanation_that_leaves_pairs_out_explains_nothing() -> None:
    (told,) = explanations(of_size(0.2), {"partial": of_size(0.0, pairs=9)}, tolerance=0.01)
    assert not told.explains


def test_what_is_no_better_than_the_published_way_explains_nothing_even_within_the_tolerance() -> None:
    (told,) = explanations(of_size(0.005), {"same": of_size(0.005)}, tolerance=0.01)
    assert not told.explains


# ---- noise


def noise(size: float, pairs: int = 60, seed: int = 1) -> Agreement:
    rng = random.Random(seed)
    direct: list[float | None] = [0.1 + 0.8 * rng.random() for _ in range(pairs)]
    return compare([one + rng.gauss(0, size) for one in direct if one is not None], direct)


def test_noise_of_a_dtype_is_known_by_its_size() -> None:
    known = {"bfloat16": noise(0.005, seed=2), "float16": noise(0.0005, seed=3)}
    assert nearest_noise(noise(0.004), known) == "bfloat16"
    assert nearest_noise(noise(0.0007), known) == "float16"
    assert nearest_noise(noise(0.05), known) is None
    assert nearest_noise(noise(0.00002), known) is None


def test_a_difference_in_a_few_pairs_is_no_noise_of_the_same_size() -> None:
    size = 0.005
    few = of_size(size, typical=0.0)
    assert is_noise_of(of_size(size), of_size(size))
    assert not is_noise_of(few, of_size(size))


def test_what_turns_the_order_around_is_no_noise() -> None:
    assert not is_noise_of(of_size(0.005, tau_mean=0.2), of_size(0.005, tau_mean=0.95))
    assert is_noise_of(of_size(0.005, tau_mean=None), of_size(0.005))


def test_no_difference_is_no_noise() -> None:
    assert not is_noise_of(of_size(0.0), of_size(0.005))


# ---- lengths and tokens


def test_a_length_beyond_which_all_differ_is_found_and_only_such_a_one() -> None:
    right: list[float | None] = [0.5] * 4
    assert differs_beyond([10, 20, 30, 40], [0.5, 0.5, 0.9, 0.9], right, 0.01) == 20
    assert differs_beyond([10, 20, 30, 40], [0.5, 0.9, 0.5, 0.9], right, 0.01) is None
    assert differs_beyond([10, 20, 30, 40], [0.9] * 4, right, 0.01) is None
    assert differs_beyond([10, 20, 30, 40], right, right, 0.01) is None
    assert differs_beyond([10, 20, 30, 40], [0.5, None, 0.9, 0.9], right, 0.01) == 10


def test_the_first_token_that_differs_is_found_also_where_one_list_just_ends() -> None:
    assert first_difference([1, 2, 3], [1, 2, 3]) is None
    assert first_difference([1, 2, 3], [1, 9, 3]) == 1
    assert first_difference([1, 2], [1, 2, 3]) == 2
    assert first_difference([], []) is None
