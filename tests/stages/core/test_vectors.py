"""Vectors on their way are those that were sent, and what finds them holds all that decides them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.records import Asked
from stages.core.vectors import KEY_BYTES, TextKeys, Vectors, distinct_texts, vector_rows
from tests.stages.core.test_identity import IDENTITY

NUMBERS = st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=3)
PROMPTS = st.dictionaries(st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES), NUMBERS, min_size=1, max_size=3)


def arrays(documents: dict[int, dict[bytes, list[float]]]) -> dict[int, Vectors]:
    return {
        place: {key: np.array(numbers, np.float32) for key, numbers in one.items()} for place, one in documents.items()
    }


@given(st.dictionaries(st.integers(0, 1000), PROMPTS, max_size=5))
def test_what_arrives_is_what_was_sent(documents: dict[int, dict[bytes, list[float]]]) -> None:
    rows = vector_rows(arrays(documents))
    arrived = {place: {key: row.tolist() for key, row in one.items()} for place, one in rows.by_place().items()}
    assert arrived == documents
    assert rows.by_key().keys() == {key for one in documents.values() for key in one}
    assert rows.values.nbytes == 4 * 3 * sum(map(len, documents.values()))


def test_the_documents_of_a_batch_are_counted_once_each_in_the_order_of_their_first_place() -> None:
    assert distinct_texts([Asked("q", ("b", "a", "b")), Asked("r", ("c", "a"))]) == ["b", "a", "c"]


@pytest.mark.parametrize(
    "change",
    [
        {"model": "sha256:other"},
        {"max_length": 9},
        {"dtype": "float64"},
        {"recipe": "e5 0123"},
        {"long_documents": "passages, at most 4"},
        {"scoring_version": 99},
        {"backend": "another"},
    ],
    ids=str,
)
def test_what_decides_a_documents_vector_is_in_its_key(change: dict[str, object]) -> None:
    assert TextKeys(IDENTITY).of("a") != TextKeys(replace(IDENTITY, **change)).of("a")  # type: ignore[arg-type]


def test_an_instruction_is_for_queries_alone() -> None:
    assert TextKeys(IDENTITY).of("a") == TextKeys(replace(IDENTITY, instruction="Find the opposite")).of("a")


@given(st.text(), st.text())
def test_different_texts_have_different_keys(one: str, other: str) -> None:
    keys = TextKeys(IDENTITY)
    assert (keys.of(one) == keys.of(other)) == (one == other)


def test_a_text_with_half_a_character_has_a_key() -> None:
    assert len(TextKeys(IDENTITY).of("\ud800")) == KEY_BYTES
