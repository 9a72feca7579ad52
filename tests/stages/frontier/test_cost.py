"""What a part of a reranker's pairs costs: tokens computed, texts and prefixes as often as an engine does; or bills."""

from __future__ import annotations

import numpy as np
import pytest

from stages.frontier.cost import Cost, Searches, TextsRead, TokensBilled, TokensRead

ASKED = np.array([[True, True, False], [False, True, True]])


def test_tokens_are_those_of_the_pairs_that_are_asked_for() -> None:
    tokens = np.array([[10.0, 20.0, 400.0], [500.0, 30.0, 40.0]])
    assert Cost(TokensRead(tokens, np.zeros(2)), 0.5).of(ASKED) == 50.0


def test_a_prefix_that_is_cached_is_computed_once_a_query() -> None:
    tokens = np.full((2, 3), 100.0)
    work = TokensRead(tokens, np.array([60.0, 0.0]))
    assert work.of(ASKED) == 100 + 40 + 200
    assert work.of(np.zeros((2, 3), dtype=bool)) == 0.0


def test_a_text_that_is_computed_once_counts_once_for_all_queries() -> None:
    work = TextsRead(np.array([1.0, 10.0, 100.0]), np.array([[0, 1, 2], [-1, 1, 0]]))
    assert work.of(ASKED) == 11.0


def test_search_units_are_billed_by_request_and_hundred_documents() -> None:
    asked = np.ones((2, 250), dtype=bool)
    asked[1, 120:] = False
    each = Searches(batch=200, per_unit=100, per_request=1.0, per_search_unit=10.0)
    assert each.of(asked) == (2 + 1) * 1.0 + ((2 + 1) + 2) * 10.0
    assert each.of(np.zeros((2, 250), dtype=bool)) == 0.0


def test_billed_tokens_come_with_their_requests() -> None:
    work = TokensBilled(np.full((2, 3), 5.0), batch=2, per_request=1.0, per_token=0.1)
    assert work.of(np.ones((2, 3), dtype=bool)) == pytest.approx(4 + 3.0)
