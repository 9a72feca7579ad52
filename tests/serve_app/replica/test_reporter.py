"""A replica tells of itself from a thread of its own, and ends its process when its engine is dead, then only."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest

from serve_app.replica import reporter
from serve_app.replica.deployment import RerankReplica
from serve_app.replica.reporter import Reporter
from stages.telemetry.telemetry import Snapshot
from tests.api_server import until


class FakeCollector:
    """As Ray's handle of one: `calls` holds what was asked, in order."""

    def __init__(self, answer: Callable[[], bool] = lambda: True) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._answer = answer

    def __getattr__(self, name: str) -> Any:
        def remote(*arguments: Any) -> Any:
            self.calls.append((name, arguments))
            told: Future[bool] = Future()
            try:
                told.set_result(self._answer())
            except Exception as error:
                told.set_exception(error)
            return SimpleNamespace(future=lambda: told)

        return SimpleNamespace(remote=remote)

    def named(self, name: str) -> list[Any]:
        return [arguments for one, arguments in self.calls if one == name]


class FakeEngine:
    def __init__(self) -> None:
        self.dead = False
        self.stats = SimpleNamespace(snapshot=lambda: Snapshot("a", time_s=time.time()))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "PUSH_EVERY_S", 0.01)
    monkeypatch.setattr(reporter, "LAST_WORDS_S", 0.05)
    monkeypatch.setattr(reporter, "this_node", lambda _: SimpleNamespace(sample=lambda: None))


def test_counts_and_metrics_are_told_while_the_event_loop_is_busy() -> None:
    collector = FakeCollector()

    async def compute() -> None:
        telling = Reporter("a", FakeEngine(), collector, {}, end=lambda: pytest.fail("it lives"))
        until(lambda: len(collector.named("push")) > 5)  # meanwhile no other task of the loop gets on
        telling.stop()

    asyncio.run(compute())
    assert [arguments[0] for arguments in collector.named("expose")] == ["a"]


def test_a_dead_engine_ends_the_process_after_its_calls_had_time_to_end() -> None:
    engine, collector, ended = FakeEngine(), FakeCollector(), threading.Event()
    Reporter("a", engine, collector, {}, end=ended.set)
    until(lambda: collector.named("push"))
    assert not ended.wait(0.1)
    engine.dead, died_s = True, time.monotonic()
    assert ended.wait(60)
    assert time.monotonic() - died_s >= 0.05
    assert collector.named("engine_died") == [("a",)]


def test_an_engine_that_ends_because_its_replica_stops_is_no_death() -> None:
    engine, collector, ended = FakeEngine(), FakeCollector(), threading.Event()
    telling = Reporter("a", engine, collector, {}, end=ended.set)
    until(lambda: collector.named("push"))
    telling.stop()
    engine.dead = True
    assert not ended.wait(0.2)


def test_a_collector_that_fails_is_told_the_next_time() -> None:
    failures = [RuntimeError("away")]

    def answer() -> bool:
        if failures:
            raise failures.pop()
        return True

    collector = FakeCollector(answer)
    telling = Reporter("a", FakeEngine(), collector, {}, end=lambda: pytest.fail("it lives"))
    until(lambda: len(collector.named("push")) > 2)
    telling.stop()


def test_a_collector_that_does_not_know_the_replica_is_told_its_facts() -> None:
    known = iter([False])
    collector = FakeCollector(lambda: next(known, True))
    telling = Reporter("a", FakeEngine(), collector, {"dtype": "bfloat16"}, end=lambda: pytest.fail("it lives"))
    until(lambda: len(collector.named("push")) > 2)
    telling.stop()
    assert collector.named("register") == [("a", {"dtype": "bfloat16"})]


def test_serve_asks_nothing_of_the_event_loop_that_computes() -> None:
    """Where a replica has a `check_health`, Serve calls it there, and replaces a replica whose loop is busy."""
    assert not hasattr(RerankReplica, "check_health")
