"""Vectors are found by all that decides them, and compared as sentence-transformers compares them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.engine.prompts import Prompt
from serve_app.engine.vectors import similar, vector_key

IDS = st.lists(st.integers(0, 300_000), max_size=6)


@given(IDS, IDS, st.integers(0, 3), st.integers(0, 3))
def test_a_vector_is_found_by_its_tokens_and_by_how_many_of_them_are_a_prompts(
    first: list[int], second: list[int], skipped: int, skipped_too: int
) -> None:
    same = vector_key(Prompt(first, prompt_tokens=skipped)) == vector_key(Prompt(second, prompt_tokens=skipped_too))
    assert same == ((first, skipped) == (second, skipped_too))


def test_what_decides_no_vector_is_not_in_its_key() -> None:
    assert vector_key(Prompt([1, 2])) == vector_key(Prompt([1, 2], truncated=True, passage=2))


def test_cosines_and_dot_products() -> None:
    query, documents = np.array([3, 4], np.float32), np.array([[4, 3], [0, 0], [-6, -8]], np.float32)
    assert similar(query, documents, "cosine") == [pytest.approx(24 / 25), None, pytest.approx(-1)]
    assert similar(query, documents, "dot") == [24, 0, -50]
    assert similar(documents[1], documents[:1], "cosine") == [None]


def test_what_is_not_finite_stays_so() -> None:
    query = np.array([1, 2], np.float32)
    for fault in (math.nan, math.inf):
        (value,) = similar(query, np.array([[1, fault]], np.float32), "cosine")
        assert value is not None
        assert not math.isfinite(value)


@given(st.integers(1, 60), st.integers(1, 500), st.integers(0, 1000))
def test_a_score_is_the_same_to_the_last_bit_whatever_is_asked_for_with_it(rows: int, size: int, seed: int) -> None:
    drawn = np.random.default_rng(seed).normal(size=(rows + 1, size)).astype(np.float32)
    together = similar(drawn[0], drawn[1:], "cosine")
    assert together == [similar(drawn[0], drawn[row : row + 1], "cosine")[0] for row in range(1, rows + 1)]
    assert together == [float(np.float32(value)) for value in together if value is not None]
