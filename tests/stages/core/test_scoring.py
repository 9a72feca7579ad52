"""The stand-in scores by common words, and keeps the contract of a scorer."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core.records import PairScore
from stages.core.scoring import OverlapScorer, sigmoid


def overlap(query: str, *documents: str, instruction: str | None = None) -> list[PairScore]:
    return asyncio.run(OverlapScorer().score(query, documents, instruction))


@pytest.mark.parametrize(
    ("query", "document", "expected"),
    [
        ("red apple", "a red apple", 1.0),
        ("red apple", "a red car", 0.5),
        ("red apple", "", 0.0),
        ("red red apple", "red", 0.5),
        ("Größe STRASSE", "größe straße", 1.0),
        ("苹果 价格", "价格", 0.5),
        ("?!", "anything", 0.0),
    ],
)
def test_the_score_is_the_share_of_the_querys_distinct_words(query: str, document: str, expected: float) -> None:
    [pair] = overlap(query, document)
    assert pair.score == expected
    assert pair.error is None


def test_scores_come_in_the_documents_order() -> None:
    assert [pair.score for pair in overlap("a b", "a b", "c", "b")] == [1.0, 0.0, 0.5]


def test_no_document_gives_no_score() -> None:
    assert overlap("a b") == []


def test_distinct_words_of_query_and_document_count_as_prompt_tokens() -> None:
    assert overlap("a b", "b c c d")[0].prompt_tokens == 2 + 3


@given(st.text(), st.lists(st.text(), max_size=5), st.none() | st.text())
def test_every_document_gets_a_score_between_0_and_1_whatever_the_instruction(
    query: str, documents: list[str], instruction: str | None
) -> None:
    pairs = overlap(query, *documents, instruction=instruction)
    assert len(pairs) == len(documents)
    assert all(pair.score is not None and 0 <= pair.score <= 1 for pair in pairs)
    assert pairs == overlap(query, *documents)


@pytest.mark.parametrize(
    ("logit", "probability"), [(0.0, 0.5), (math.log(3), 0.75), (-math.log(3), 0.25), (1e4, 1.0), (-1e4, 0.0)]
)
def test_a_logit_becomes_its_probability_without_overflow(logit: float, probability: float) -> None:
    assert sigmoid(logit) == pytest.approx(probability)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_probabilities_lie_between_0_and_1_and_rise_with_the_logit(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= sigmoid(low) <= sigmoid(high) <= 1
    assert sigmoid(low) + sigmoid(-low) == pytest.approx(1)
