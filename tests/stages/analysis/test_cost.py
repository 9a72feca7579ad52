"""What a gain cost, as if every pair had been scored."""

from __future__ import annotations

import pytest

from stages.analysis.cost import RunWork, cost


def test_costs_are_per_query_and_money_follows_the_price() -> None:
    work = RunWork(queries=100, pairs=2000, scored_pairs=2000, prompt_tokens=400_000, engine_s=50.0)
    found = cost(work, {"mrr": 0.1}, per_hour=3.6)
    assert (found.pairs_per_query, found.tokens_per_query) == (20, 4000)
    assert found.engine_s_per_query == pytest.approx(0.5)
    assert found.gain_per_engine_s["mrr"] == pytest.approx(0.2)
    assert found.money == pytest.approx(0.05)
    assert found.money_per_1000_queries == pytest.approx(0.5)


def test_pairs_from_the_store_cost_as_much_as_scored_ones_but_for_the_money_spent() -> None:
    work = RunWork(queries=100, pairs=2000, scored_pairs=500, prompt_tokens=100_000, engine_s=12.5)
    found = cost(work, {"mrr": 0.1}, per_hour=3.6)
    assert found.tokens_per_query == pytest.approx(4000)
    assert found.gain_per_engine_s["mrr"] == pytest.approx(0.2)
    assert found.money == pytest.approx(0.0125)
    assert found.money_per_1000_queries == pytest.approx(0.5)


def test_where_nothing_was_scored_nothing_was_measured() -> None:
    found = cost(RunWork(queries=100, pairs=2000, scored_pairs=0, prompt_tokens=0, engine_s=0.0), {"mrr": 0.1}, 3.6)
    assert (found.pairs_per_query, found.engine_s_per_query, found.money) == (20, None, 0.0)
    assert (found.gain_per_engine_s, found.money_per_1000_queries) == ({"mrr": None}, None)


def test_without_a_price_there_is_no_money() -> None:
    found = cost(RunWork(queries=1, pairs=1, scored_pairs=1, prompt_tokens=1, engine_s=1.0), {})
    assert (found.money, found.money_per_1000_queries) == (None, None)
