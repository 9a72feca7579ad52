"""Prompts of all calls -> batches of similar length, computed one after another by one thread. What computes is given:
nothing here knows a model.

The next batch is always of the calls that come first (lowest priority number, then age), so that none waits for ever;
what else is in it is as long, or nearly, because a batch costs as much as if all of it had its longest prompt's length.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Any, NamedTuple, TypeAlias

from serve_app.engine.prompts import Prompt
from stages.core.errors import EngineDiedError, EngineError, first_line

# A prompt joins a batch whose longest has at most so many times its tokens.
PADDED = 1.25

# What is computed for a prompt, or why there is nothing.
Computed: TypeAlias = Any
Compute: TypeAlias = Callable[[Sequence[Prompt]], Sequence[Computed]]


class DeviceLostError(Exception):
    """Raised by what computes: nothing can be computed any more, whatever the prompts."""


class Limits(NamedTuple):
    """Of one batch: how many prompts, and how many tokens with their padding; one prompt always fits."""

    prompts: int
    tokens: int


class Step(NamedTuple):
    """Where a batch begins, `running` prompts of it; where it ends, none, with the tokens computed and the time (s)
    that each prompt had waited. `waiting` are those behind it.
    """

    running: int
    waiting: int
    tokens: int = 0
    waits_s: tuple[float, ...] = ()


class Call:
    """What one caller has here: `values` has a place for each of its prompts."""

    def __init__(self, number: int) -> None:
        self.values: list[Computed] = [None] * number
        self.left = number
        self.longest_wait_s = 0.0
        self.done: Future[None] = Future()

    def finish(self, place: int, value: Computed) -> None:
        self.values[place] = value
        self.left -= 1
        if not self.left:
            with contextlib.suppress(InvalidStateError):  # cancelled at this moment
                self.done.set_result(None)

    def fail(self, error: Exception) -> None:
        with contextlib.suppress(InvalidStateError):
            self.done.set_exception(error)


class _Waiting(NamedTuple):
    """A prompt in the queue; the first two fields are its order there."""

    length: int
    number: int
    prompt: Prompt
    call: Call
    place: int
    since_s: float


class Batcher:
    """Starts its thread at once. `begin` runs there first; `tell` hears of every batch, before and after."""

    def __init__(
        self,
        compute: Compute,
        limits: Limits,
        begin: Callable[[], object] = lambda: None,
        tell: Callable[[Step], object] = lambda _: None,
    ) -> None:
        self.compute, self._limits, self._begin, self._tell = compute, limits, begin, tell
        self._queues: dict[int, list[_Waiting]] = {}  # by priority, each in order of length
        self._number = 0
        self._changed = threading.Condition()
        self._stopped = False
        self._at_work: Sequence[_Waiting] = ()
        self._death: str | None = None
        self._thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self._thread.start()

    @property
    def dead(self) -> bool:
        """Whether nothing is computed any more though nobody stopped it."""
        return self._death is not None

    @property
    def waiting(self) -> int:
        """Prompts whose batch has not begun."""
        with self._changed:
            return self._number_waiting()

    async def run(self, prompts: Sequence[Prompt], priority: int) -> Call:
        """All prompts computed. Cancelling takes back those that wait.

        Raises EngineError where the thread is gone, EngineDiedError where it ends over one of these prompts.
        """
        call = self._submit(prompts, priority)
        try:
            await asyncio.wrap_future(call.done)
        except asyncio.CancelledError:
            self._take_back(call)
            raise
        return call

    def stop(self) -> None:
        """What waits is told so; the batch at work is finished."""
        with self._changed:
            self._stopped = True
            self._fail_waiting(EngineError("the engine was stopped"))
            self._changed.notify()

    def _submit(self, prompts: Sequence[Prompt], priority: int) -> Call:
        call = Call(len(prompts))
        with self._changed:
            if self._death is not None or self._stopped:
                raise EngineError(f"the engine died: {self._death}" if self._death else "the engine was stopped")
            if not prompts:
                call.done.set_result(None)
            queue = self._queues.setdefault(priority, [])
            for place, prompt in enumerate(prompts):
                self._number += 1
                waiting = _Waiting(len(prompt.token_ids), self._number, prompt, call, place, time.perf_counter())
                bisect.insort(queue, waiting, key=_order)
            self._changed.notify()
        return call

    def _number_waiting(self) -> int:
        return sum(map(len, self._queues.values()))

    def _take_back(self, call: Call) -> None:
        with self._changed:
            for queue in self._queues.values():
                queue[:] = [waiting for waiting in queue if waiting.call is not call]

    def _fail_waiting(self, error: Exception) -> None:
        for queue in self._queues.values():
            for waiting in queue:
                waiting.call.fail(error)
        self._queues.clear()

    def _run(self) -> None:
        try:
            self._begin()
            while batch := self._next():
                began_s = time.perf_counter()
                self._finish(batch, began_s, self._values([waiting.prompt for waiting in batch]))
        except BaseException as error:
            self._end(error)

    def _end(self, error: BaseException) -> None:
        """The calls of the batch at work may be the reason, the others are not."""
        with self._changed:
            self._death = first_line(error)
            for waiting in self._at_work:
                waiting.call.fail(EngineDiedError(f"the engine died while it scored: {self._death}"))
            self._fail_waiting(EngineError(f"the engine died: {self._death}"))

    def _next(self) -> Sequence[_Waiting]:
        """The next batch, once there is one; none at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or any(self._queues.values()))
            if self._stopped:
                return ()
            queue = self._queues[min(priority for priority, queue in self._queues.items() if queue)]
            chosen = choose(queue, self._limits)
            self._at_work = batch = queue[chosen]
            del queue[chosen]
            waiting = self._number_waiting()
        self._tell(Step(len(batch), waiting))
        return batch

    def _values(self, prompts: Sequence[Prompt]) -> list[Computed]:
        """Where a batch fails, memory being short or a prompt to blame, its halves are computed apart."""
        try:
            return list(self.compute(prompts))
        except DeviceLostError:
            raise
        except Exception as error:
            if len(prompts) == 1:
                return [f"the engine failed on the pair: {first_line(error)}"]
        half = len(prompts) // 2
        return self._values(prompts[:half]) + self._values(prompts[half:])

    def _finish(self, batch: Sequence[_Waiting], began_s: float, values: Sequence[Computed]) -> None:
        with self._changed:
            waiting = self._number_waiting()
        waits_s = [began_s - one.since_s for one in batch]
        self._tell(Step(0, waiting, sum(one.length for one in batch), tuple(waits_s)))
        for one, waited_s, value in zip(batch, waits_s, values, strict=True):
            one.call.longest_wait_s = max(one.call.longest_wait_s, waited_s)
            one.call.finish(one.place, value)
        self._at_work = ()


def choose(queue: Sequence[tuple[Any, ...]], limits: Limits) -> slice:
    """Which part of a queue of (length, number ...), in order of length, is the next batch: around the lowest number,
    its shorter neighbours first.
    """
    first = min(range(len(queue)), key=lambda place: queue[place][1])
    start, end = first, first + 1
    longest = queue[first][0]
    room = min(limits.prompts, limits.tokens // max(longest, 1))
    while start > 0 and end - start < room and queue[start - 1][0] * PADDED >= longest:
        start -= 1
    while end < len(queue) and end - start < limits.prompts:
        longest = queue[end][0]
        if (end - start + 1) * longest > limits.tokens or queue[start][0] * PADDED < longest:
            break
        end += 1
    return slice(start, end)


def _order(waiting: _Waiting) -> tuple[int, int]:
    return waiting.length, waiting.number
