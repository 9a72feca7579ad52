"""Prompts are made beside the event loop; what is long neither holds it up nor other calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from serve_app.engine.prompt_threads import LONG_CHARS, THREADS, PromptThreads
from serve_app.engine.prompts import Prompt
from stages.core.errors import QueryTooLongError

LONG = "x" * (LONG_CHARS + 1)


class SlowEncoder:
    """Encodes queries that begin with "slow" only once it is let go; `seen` are those that it began with, in order."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.seen: list[str] = []

    def encode(
        self, query: str, instruction: str | None, documents: Sequence[str], max_document_tokens: int | None = None
    ) -> list[Prompt]:
        self.seen.append(query)
        if query == "too long":
            raise QueryTooLongError("it is")
        if query.startswith("slow"):
            assert self.go.wait(timeout=240)
        return [Prompt([len(document)]) for document in documents]


class Threads:
    """PromptThreads over a SlowEncoder, for one event loop."""

    def __init__(self) -> None:
        self.encoder = SlowEncoder()
        self.threads = PromptThreads(self.encoder)  # type: ignore[arg-type]

    def start(self, query: str, document: str = "text", *, online: bool = False) -> asyncio.Task[list[Prompt]]:
        return asyncio.create_task(self.threads.encode(query, None, [document], None, online=online))

    async def begun(self, number: int) -> None:
        while len(self.encoder.seen) < number:
            await asyncio.sleep(0.001)

    async def end(self, *calls: asyncio.Task[list[Prompt]]) -> None:
        self.encoder.go.set()
        await asyncio.gather(*calls)
        self.threads.shutdown()


def test_the_loop_goes_on_while_prompts_are_made_and_an_online_call_passes_those_of_a_job() -> None:
    async def check() -> None:
        threads = Threads()
        calls = [threads.start(f"slow {number}") for number in range(THREADS + 3)]
        await threads.begun(THREADS)
        assert await asyncio.wait_for(threads.start("online", online=True), 120) == [Prompt([4])]
        assert not any(call.done() for call in calls)
        await threads.end(*calls)

    asyncio.run(check())


def test_long_texts_go_one_call_at_a_time_and_hold_up_no_short_ones() -> None:
    async def check() -> None:
        threads = Threads()
        calls = [threads.start("slow first", LONG), threads.start("slow second", LONG)]
        await threads.begun(1)
        for online in (True, False):
            assert await asyncio.wait_for(threads.start("short", online=online), 120) == [Prompt([4])]
        assert threads.encoder.seen == ["slow first", "short", "short"]
        await threads.end(*calls)
        assert threads.encoder.seen[-1] == "slow second"

    asyncio.run(check())


def test_a_call_that_is_cancelled_before_its_turn_is_never_read() -> None:
    async def check() -> None:
        threads = Threads()
        first, second = threads.start("slow first", LONG), threads.start("slow second", LONG)
        await threads.begun(1)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        await threads.end(first, threads.start("slow third", LONG))
        assert threads.encoder.seen == ["slow first", "slow third"]

    asyncio.run(check())


def test_what_the_encoder_raises_comes_out() -> None:
    async def check() -> None:
        threads = Threads()
        with pytest.raises(QueryTooLongError, match="it is"):
            await threads.start("too long")
        await threads.end()

    asyncio.run(check())
