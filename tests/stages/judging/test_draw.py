"""The draw: at random, the same for one seed, and of any beginning each stratum has its share."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.judging.draw import LEAST_DRAWN, OTHER, draw, strata_of

sizes = st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 60), min_size=1)


def strata(of_sizes: dict[str, int]) -> dict[str, list[str]]:
    return {name: [f"{name}{number}" for number in range(size)] for name, size in of_sizes.items()}


@given(sizes, st.integers(0, 2**32))
def test_every_query_is_drawn_once_from_its_own_stratum(of_sizes: dict[str, int], seed: int) -> None:
    given_strata = strata(of_sizes)
    drawn = draw(given_strata, seed)
    assert sorted(drawn) == sorted((query_id, name) for name, ids in given_strata.items() for query_id in ids)


@given(sizes, st.integers(0, 1000))
def test_of_any_beginning_each_stratum_has_its_share_but_for_rounding(of_sizes: dict[str, int], seed: int) -> None:
    drawn, total = draw(strata(of_sizes), seed), sum(of_sizes.values())
    for number in range(1, total + 1):
        counts = Counter(one.stratum for one in drawn[:number])
        for name, size in of_sizes.items():
            assert abs(counts[name] - number * size / total) < len(of_sizes)
            if len(of_sizes) <= 2:
                assert abs(counts[name] - number * size / total) <= 1


@given(sizes, st.integers(0, 1000))
def test_the_order_in_which_queries_come_decides_nothing(of_sizes: dict[str, int], seed: int) -> None:
    given_strata = strata(of_sizes)
    turned = {name: ids[::-1] for name, ids in reversed(given_strata.items())}
    assert draw(given_strata, seed) == draw(turned, seed)


def test_every_query_is_as_likely_to_be_among_the_first() -> None:
    times = Counter(one.query_id for seed in range(2000) for one in draw(strata({"": 10}), seed)[:3])
    assert len(times) == 10
    assert all(abs(count - 600) < 5 * (2000 * 0.3 * 0.7) ** 0.5 for count in times.values())


def test_values_that_few_have_are_one_stratum_together() -> None:
    values = {f"q{number}": "en" if number < 80 else "zh" if number < 110 else f"rare{number}" for number in range(120)}
    found = strata_of(list(values), values, 30)
    # Of the first 30 the ten rare ones would be 2.5 together, so the next smallest is with them.
    assert {name: len(ids) for name, ids in found.items()} == {"en": 80, OTHER: 40}
    assert min(len(ids) for ids in found.values()) * 30 / 120 >= LEAST_DRAWN


def test_a_query_without_the_field_is_in_a_stratum_too() -> None:
    found = strata_of([f"q{number}" for number in range(60)], {f"q{number}": "en" for number in range(40)}, 30)
    assert {name: len(ids) for name, ids in found.items()} == {"en": 40, "": 20}


def test_of_few_queries_all_are_one_stratum() -> None:
    assert strata_of(["a", "b"], {"a": "en", "b": "zh"}, 2) == {OTHER: ["a", "b"]}


@pytest.mark.parametrize("seed", [0, 7])
def test_other_seeds_draw_otherwise(seed: int) -> None:
    assert draw(strata({"": 40}), seed) != draw(strata({"": 40}), seed + 1)
