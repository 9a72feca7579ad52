"""Any number of calls at once embed each text once, and each call gets the vectors of its own texts."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.engine.hosted import BATCH, ONLINE
from serve_app.engine.prompts import Prompt
from serve_app.engine.shared_vectors import SharedVectors
from serve_app.engine.vector_memory import VectorMemory
from serve_app.engine.vectors import Vector
from stages.core.errors import EngineError
from tests.virtual_time import VirtualLoop

FAILS, NOT_FINITE = 90, 91


class Engine:
    """Embeds a text of one token, t, as [t, t + 1]: each call takes as long (s) as its first token says. `read` counts
    what it was given.
    """

    def __init__(self, most_bytes: int = 1 << 20) -> None:
        self.shared = SharedVectors(read, VectorMemory(most_bytes))
        self.read: Counter[int] = Counter()
        self.dead = False

    async def compute(self, prompts: Sequence[Prompt], priority: int) -> tuple[list[Any], float]:
        tokens = [prompt.token_ids[0] for prompt in prompts]
        self.read.update(tokens)
        await asyncio.sleep(tokens[0] + 1)
        if self.dead:
            raise EngineError("the engine died")
        return tokens, 5.0

    async def embed(self, *tokens: int, priority: int = BATCH) -> list[Vector | str]:
        vectors, _ = await self.shared.of([Prompt([token]) for token in tokens], priority, self.compute)
        return vectors


def read(prompts: Sequence[Prompt], outputs: Sequence[Any]) -> list[Vector | str]:
    found: list[Vector | str] = []
    for prompt, token in zip(prompts, outputs, strict=True):
        assert prompt.token_ids == [token]
        second = math.nan if token == NOT_FINITE else token + 1
        found.append("refused" if token == FAILS else Vector(np.array([token, second], np.float32)))
    return found


def values(vectors: Sequence[Vector | str]) -> list[Any]:
    return [one if isinstance(one, str) else one.values.tolist() for one in vectors]


def known(vectors: Sequence[Vector | str]) -> list[bool]:
    return [isinstance(one, Vector) and one.known for one in vectors]


def run(test: Awaitable[Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_within(test))


async def _within(test: Awaitable[Any]) -> Any:
    return await test


class Planned(NamedTuple):
    """A call that begins at a time, with texts, and is given up after so long, or never."""

    at_s: int
    tokens: list[int]
    priority: int
    patience_s: int | None


CALLS = st.lists(
    st.builds(
        Planned,
        st.integers(0, 12),
        st.lists(st.sampled_from([*range(8), FAILS, NOT_FINITE]), max_size=6),
        st.sampled_from([ONLINE, BATCH]),
        st.none() | st.integers(0, 12),
    ),
    max_size=8,
)


@given(CALLS, st.sampled_from([0, 1000, 1 << 20]))
def test_each_call_gets_the_vectors_of_its_own_texts_whatever_else_goes_on(
    calls: list[Planned], most_bytes: int
) -> None:
    engine = Engine(most_bytes)

    async def one(call: Planned) -> list[Vector | str] | None:
        await asyncio.sleep(call.at_s)
        try:
            async with asyncio.timeout(call.patience_s):
                return await engine.embed(*call.tokens, priority=call.priority)
        except TimeoutError:
            return None

    async def everything() -> list[list[Vector | str] | None]:
        return await asyncio.gather(*map(one, calls))

    for call, found in zip(calls, run(everything()), strict=True):
        if found is None:
            assert call.patience_s is not None
            continue
        expected = ["refused" if token == FAILS else [token, token + 1] for token in call.tokens]
        assert [one for one in values(found) if str(one[1]) != "nan"] == [
            one for one, token in zip(expected, call.tokens, strict=True) if token != NOT_FINITE
        ]
        fresh = [token for token, old in zip(call.tokens, known(found), strict=True) if not old]
        assert len(set(fresh)) == len([token for token in fresh if token != FAILS]) + (FAILS in fresh)
    assert not engine.shared._at_work
    patient = all(call.patience_s is None and call.priority == BATCH for call in calls)
    if patient and most_bytes == 1 << 20:
        assert all(count == 1 for token, count in engine.read.items() if token not in (FAILS, NOT_FINITE))


def test_a_text_is_read_once_by_calls_in_a_row_and_by_calls_at_once() -> None:
    engine = Engine()

    async def test() -> None:
        first, second = await asyncio.gather(engine.embed(1, 2, 3), engine.embed(3, 2, 5))
        assert (known(first), known(second)) == ([False] * 3, [True, True, False])
        assert values(second) == [[3, 4], [2, 3], [5, 6]]
        assert known(await engine.embed(5, 1)) == [True, True]

    run(test())
    assert engine.read == {1: 1, 2: 1, 3: 1, 5: 1}


def test_of_a_text_that_occurs_again_in_a_call_the_first_one_was_read() -> None:
    assert known(run(Engine().embed(4, 4, 2, 4))) == [False, True, False, True]


def test_where_the_call_that_computes_is_cancelled_those_that_wait_compute_once_more_and_once_for_all() -> None:
    engine = Engine()

    async def test() -> None:
        first = asyncio.create_task(engine.embed(7, 8))
        await asyncio.sleep(1)
        waiting = [asyncio.create_task(engine.embed(8, 9)) for _ in range(3)]
        await asyncio.sleep(1)
        first.cancel()
        assert [values(one) for one in await asyncio.gather(*waiting)] == [[[8, 9], [9, 10]]] * 3

    run(test())
    assert engine.read == {7: 1, 8: 2, 9: 1}


def test_a_call_that_waits_and_is_cancelled_leaves_what_it_waits_for_as_it_is() -> None:
    engine = Engine()

    async def test() -> list[Vector | str]:
        first = asyncio.create_task(engine.embed(7))
        await asyncio.sleep(1)
        second = asyncio.create_task(engine.embed(7))
        await asyncio.sleep(1)
        second.cancel()
        return await first

    assert values(run(test())) == [[7, 8]]
    assert engine.read == {7: 1}


def test_a_call_that_fails_fails_alone() -> None:
    engine = Engine()

    async def test() -> None:
        first = asyncio.create_task(engine.embed(7))
        await asyncio.sleep(1)
        second = asyncio.create_task(engine.embed(7))
        engine.dead = True
        with pytest.raises(EngineError):
            await first
        engine.dead = False
        assert values(await second) == [[7, 8]]

    run(test())


def test_nothing_that_failed_or_is_no_number_is_kept() -> None:
    engine = Engine()

    async def test() -> None:
        for _ in range(2):
            failed, odd = await engine.embed(FAILS, NOT_FINITE)
            assert failed == "refused"
            assert isinstance(odd, Vector)
            assert not odd.known
        await asyncio.gather(engine.embed(FAILS), engine.embed(FAILS))

    run(test())
    assert engine.read == {FAILS: 4, NOT_FINITE: 2}
    assert not len(engine.shared.memory)


def test_nobody_waits_for_a_call_that_is_served_later() -> None:
    """An online caller does not wait behind a batch job for a text that both have."""
    engine = Engine()

    async def test() -> None:
        batch = asyncio.create_task(engine.embed(60, 2))
        await asyncio.sleep(1)
        started = asyncio.get_running_loop().time()
        assert values(await engine.embed(2, priority=ONLINE)) == [[2, 3]]
        assert asyncio.get_running_loop().time() - started < 5
        assert values(await batch) == [[60, 61], [2, 3]]

    run(test())


def test_the_wait_that_is_told_is_that_of_what_was_computed() -> None:
    engine = Engine()

    async def test() -> None:
        for expected_ms in (5.0, 0.0):
            _, waited_ms = await engine.shared.of([Prompt([1])], BATCH, engine.compute)
            assert waited_ms == expected_ms

    run(test())
