"""What goes back to who keeps vectors are those of whole documents that did not come with the call."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np

from serve_app.engine.exchange import Exchange
from serve_app.engine.prompts import Prompt
from serve_app.engine.vectors import Vector, vector_key
from stages.core.vectors import Floats
from tests.serve_app.engine.test_shared_vectors import Engine, known, values

QUERY = Prompt([0])
ZERO = Vector(np.zeros(2, np.float32))


def vector(number: float) -> Vector:
    return Vector(np.array([number, 1], np.float32))


def back(exchange: Exchange, texts: Sequence[str]) -> dict[int, dict[bytes, Any]]:
    rows = exchange.back(texts).by_place()
    return {place: {key: row.tolist() for key, row in one.items()} for place, one in rows.items()}


def test_each_new_document_goes_back_once_with_all_its_passages() -> None:
    exchange = Exchange({}, wanted=True)
    prompts = [QUERY, Prompt([1]), Prompt([2]), Prompt([3], passage=1), Prompt([4])]
    exchange.note(["one", "two", "three"], prompts, [ZERO, vector(1), vector(2), vector(3), vector(4)])
    exchange.note(["one"], [QUERY, Prompt([1])], [ZERO, vector(1)])
    keys = [vector_key(prompt) for prompt in prompts]
    assert back(exchange, ["three", "two", "one", "unseen"]) == {
        0: {keys[4]: [4, 1]},
        1: {keys[2]: [2, 1], keys[3]: [3, 1]},
        2: {keys[1]: [1, 1]},
    }


def test_what_came_with_the_call_does_not_go_back_and_a_document_of_which_a_part_came_does() -> None:
    given = {vector_key(Prompt([number])): vector(number).values for number in (1, 2)}
    exchange = Exchange(given, wanted=True)
    prompts = [QUERY, Prompt([1]), Prompt([2]), Prompt([3], passage=1)]
    exchange.note(["known", "in part"], prompts, [ZERO, *map(vector, (1, 2, 3))])
    assert list(back(exchange, ["known", "in part"])) == [1]


def test_a_document_of_which_a_passage_failed_does_not_go_back() -> None:
    exchange = Exchange({}, wanted=True)
    odd = Vector(np.array([np.inf, 1], np.float32))
    prompts = [QUERY, Prompt([1]), Prompt([2], passage=1), Prompt([3])]
    exchange.note(["failed", "odd"], prompts, [ZERO, vector(1), "refused", odd])
    assert back(exchange, ["failed", "odd"]) == {}


def test_who_keeps_none_gets_none() -> None:
    exchange = Exchange({}, wanted=False)
    exchange.note(["one"], [QUERY, Prompt([1])], [ZERO, vector(1)])
    assert back(exchange, ["one"]) == {}


def test_a_vector_that_came_along_is_not_computed_and_stays_in_the_memory() -> None:
    engine = Engine()
    given: dict[bytes, Floats] = {vector_key(Prompt([5])): np.array([5, 6], np.float32)}

    async def test() -> None:
        found, _ = await engine.shared.of([Prompt([5]), Prompt([5])], 0, engine.compute, given)
        assert (values(found), known(found)) == ([[5, 6]] * 2, [True, True])
        assert known(await engine.embed(5)) == [True]

    asyncio.run(test())
    assert not engine.read
