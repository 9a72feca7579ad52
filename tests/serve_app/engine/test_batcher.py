"""Prompts of concurrent calls share batches of like lengths; nothing is lost where a batch, or the thread, fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.engine.batcher import PADDED, Batcher, Call, DeviceLostError, Limits, Step, choose
from serve_app.engine.prompts import Prompt
from stages.core.errors import EngineDiedError, EngineError

ONLINE, BATCH = 0, 10
LIMITS = Limits(prompts=8, tokens=1_000)


class Held:
    """Computes each prompt's length; the first batch waits until `go`. `batches` are the lengths that came in each."""

    def __init__(self, limits: Limits = LIMITS, fail: Callable[[Sequence[Prompt]], object] = lambda _: None) -> None:
        self.go, self.began = threading.Event(), threading.Event()
        self.batches: list[list[int]] = []
        self.steps: list[Step] = []
        self.fail = fail
        self.batcher = Batcher(self.compute, limits, tell=self.steps.append)

    def compute(self, prompts: Sequence[Prompt]) -> list[int]:
        self.batches.append([len(prompt.token_ids) for prompt in prompts])
        self.began.set()
        assert self.go.wait(timeout=60)
        self.fail(prompts)
        return [len(prompt.token_ids) for prompt in prompts]

    def call(self, *lengths: int, priority: int = BATCH) -> asyncio.Task[Call]:
        return asyncio.create_task(self.batcher.run(prompts(*lengths), priority))

    async def busy(self) -> asyncio.Task[Call]:
        """A call of one prompt that is being computed, and held there."""
        task = self.call(1)
        await asyncio.to_thread(self.began.wait, 60)
        return task


def prompts(*lengths: int) -> list[Prompt]:
    return [Prompt([0] * length) for length in lengths]


async def submitted(*tasks: asyncio.Task[Call]) -> None:
    """Each has got as far as to wait."""
    for _ in tasks:
        await asyncio.sleep(0)
    await asyncio.sleep(0)


def run(test: Callable[[Held], Any], held: Held | None = None) -> Any:
    held = held or Held()
    try:
        return asyncio.run(asyncio.wait_for(test(held), 120))
    finally:
        held.go.set()
        held.batcher.stop()


def test_a_call_gets_the_value_of_each_of_its_prompts_in_order() -> None:
    async def test(held: Held) -> None:
        held.go.set()
        call = await held.call(5, 900, 3, 5, 300)
        assert call.values == [5, 900, 3, 5, 300]
        assert call.longest_wait_s > 0

    run(test)


def test_a_call_without_prompts_is_answered_at_once() -> None:
    async def test(held: Held) -> None:
        assert (await held.call()).values == []

    run(test)


def test_calls_that_wait_at_the_same_time_share_batches() -> None:
    async def test(held: Held) -> None:
        first = await held.busy()
        others = [held.call(10, 10), held.call(10, 11), held.call(12)]
        await submitted(*others)
        held.go.set()
        await asyncio.gather(first, *others)
        assert held.batches == [[1], [10, 10, 10, 11, 12]]

    run(test)


def test_prompts_of_other_lengths_go_into_other_batches() -> None:
    async def test(held: Held) -> None:
        first = await held.busy()
        other = held.call(100, 10, 104, 11)
        await submitted(other)
        held.go.set()
        await asyncio.gather(first, other)
        assert held.batches == [[1], [100, 104], [10, 11]]

    run(test)


def test_online_calls_come_before_all_that_a_job_has_waiting() -> None:
    async def test(held: Held) -> None:
        first = await held.busy()
        job = held.call(10, 10, 10)
        await submitted(job)
        online = held.call(10, priority=ONLINE)
        await submitted(online)
        held.go.set()
        await asyncio.gather(first, job, online)
        assert held.batches == [[1], [10], [10, 10, 10]]

    run(test)


def test_a_cancelled_call_is_never_computed() -> None:
    async def test(held: Held) -> None:
        first = await held.busy()
        gone, kept = held.call(10, 10), held.call(10)
        await submitted(gone, kept)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        held.go.set()
        assert (await kept).values == [10]
        await first
        assert held.batches == [[1], [10]]

    run(test)


def test_a_call_that_is_cancelled_while_it_is_computed_leaves_the_others_alone() -> None:
    async def test(held: Held) -> None:
        first = await held.busy()
        kept = held.call(10)
        await submitted(kept)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        held.go.set()
        assert (await kept).values == [10]

    run(test)


def test_a_prompt_that_fails_fails_alone() -> None:
    def broken(batch: Sequence[Prompt]) -> None:
        if any(len(prompt.token_ids) == 13 for prompt in batch):
            raise RuntimeError("DefaultCPUAllocator: not enough memory\nand a second line")

    async def test(held: Held) -> None:
        held.go.set()
        call = await held.call(12, 12, 13, 12, 12)
        reason = "the engine failed on the pair: DefaultCPUAllocator: not enough memory"
        assert call.values == [12, 12, reason, 12, 12]
        assert not held.batcher.dead
        assert (await held.call(7)).values == [7]

    run(test, Held(fail=broken))


@pytest.mark.parametrize("death", [DeviceLostError("CUDA error: device-side assert"), SystemExit("killed")])
def test_when_the_thread_dies_the_call_at_work_is_suspected_and_the_others_are_told(death: BaseException) -> None:
    def dies(batch: Sequence[Prompt]) -> None:
        raise death

    async def test(held: Held) -> None:
        at_work = await held.busy()
        waiting = held.call(10, 10)
        await submitted(waiting)
        held.go.set()
        with pytest.raises(EngineDiedError, match=f"died while it scored: {death}"):
            await at_work
        with pytest.raises(EngineError, match=f"the engine died: {death}") as told:
            await waiting
        assert not isinstance(told.value, EngineDiedError)
        assert held.batcher.dead
        with pytest.raises(EngineError, match="the engine died"):
            await held.call(1)

    run(test, Held(fail=dies))


def test_what_goes_wrong_before_the_first_batch_is_a_death_as_well() -> None:
    def begin() -> None:
        raise OSError("no such device")

    async def test() -> None:
        batcher = Batcher(list, LIMITS, begin)
        with pytest.raises(EngineError, match="no such device"):
            await batcher.run(prompts(1), BATCH)
        assert batcher.dead

    asyncio.run(asyncio.wait_for(test(), 60))


def test_stopping_tells_what_waits_and_is_no_death() -> None:
    async def test(held: Held) -> None:
        first = await held.busy()
        waiting = held.call(10)
        await submitted(waiting)
        held.batcher.stop()
        with pytest.raises(EngineError, match="stopped"):
            await waiting
        held.go.set()
        assert (await first).values == [1]
        assert not held.batcher.dead
        with pytest.raises(EngineError, match="stopped"):
            await held.call(1)

    run(test)


def test_every_batch_is_told_when_it_begins_and_when_it_ends() -> None:
    async def test(held: Held) -> None:
        first = await held.busy()
        other = held.call(10, 11)
        await submitted(other)
        held.go.set()
        await asyncio.gather(first, other)
        shapes = [(step.running, step.waiting, step.tokens, len(step.waits_s)) for step in held.steps]
        assert shapes == [(1, 0, 0, 0), (0, 2, 1, 1), (2, 0, 0, 0), (0, 0, 21, 2)]

    run(test)


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=40).map(sorted),
    st.randoms(use_true_random=False),
    st.integers(1, 10),
    st.integers(1, 2_000),
)
def test_a_batch_has_the_oldest_prompt_and_is_within_all_limits(
    lengths: list[int], random: Any, most: int, tokens: int
) -> None:
    numbers = list(range(len(lengths)))
    random.shuffle(numbers)
    queue = sorted(zip(lengths, numbers, strict=True))
    chosen = queue[choose(queue, Limits(most, tokens))]
    assert 0 in [number for _, number in chosen]
    assert len(chosen) == 1 or len(chosen) * chosen[-1][0] <= tokens
    assert len(chosen) <= most
    assert chosen[-1][0] <= PADDED * chosen[0][0]


@given(st.lists(st.integers(1, 300), min_size=1, max_size=60), st.integers(1, 10), st.integers(1, 2_000))
def test_every_prompt_is_in_one_batch(lengths: list[int], most: int, tokens: int) -> None:
    queue = sorted((length, number) for number, length in enumerate(lengths))
    seen: list[int] = []
    while queue:
        chosen = choose(queue, Limits(most, tokens))
        seen += [number for _, number in queue[chosen]]
        del queue[chosen]
    assert sorted(seen) == list(range(len(lengths)))
    assert all(first != second for first, second in pairwise(sorted(seen)))
