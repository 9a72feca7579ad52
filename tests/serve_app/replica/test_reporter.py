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
from serve_app.replica.collector import Heard
from serve_app.replica.deployment import RerankReplica
from serve_app.replica.reporter import Reporter
from stages.telemetry.telemetry import Snapshot
from tests.api_server import until

KNOWN = Heard(known=True, scraped=False)


class FakeCollector:
    """As Ray's handle of one: `calls` holds what was asked, in order."""

    def __init__(self, answer: Callable[[], Heard] = lambda: KNOWN) -> None:
        self.calls: list[tuple[str, Any]] = []
        self._answer = answer

    def __getattr__(self, name: str) -> Any:
        def remote(*arguments: Any) -> Any:
            self.calls.append((name, arguments))
            told: Future[Heard] = Future()
            try:
                told.set_result(self._answer())
            except Exception as error:
                told.set_exception(error)
            return SimpleNamespace(future=lambda: told)

        return SimpleNamespace(remote=remote)

    def named(self, name: str) -> list[Any]:
        return [arguments for one, arguments in self.calls if one == name]


class FakeEngine:
    """Counts a prompt token whenever it is asked, while it `works`."""

    def __init__(self, *, works: bool = True) -> None:
        self.dead, self.works = False, works
        self.asked = self.tokens = 0
        self.stats = SimpleNamespace(snapshot=self._snapshot)

    def _snapshot(self) -> Snapshot:
        self.asked += 1
        self.tokens += self.works
        return Snapshot("a", time_s=time.time(), prompt_tokens=self.tokens)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "PUSH_EVERY_S", 0.01)
    monkeypatch.setattr(reporter, "LAST_WORDS_S", 0.05)
    monkeypatch.setattr(reporter, "this_node", lambda _: SimpleNamespace(sample=lambda: None))


def test_counts_and_metrics_are_told_while_the_event_loop_is_busy() -> None:
    collector = FakeCollector(lambda: Heard(known=True, scraped=True))

    async def compute() -> None:
        telling = Reporter("a", FakeEngine(), collector, {}, end=lambda: pytest.fail("it lives"))
        until(lambda: len(collector.named("push")) > 5)  # meanwhile no other task of the loop gets on
        telling.stop()

    asyncio.run(compute())
    assert [arguments[0] for arguments in collector.named("expose")] == ["a"]


def test_what_does_not_change_is_told_once_in_a_while_and_a_change_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, collector = FakeEngine(works=False), FakeCollector()
    telling = Reporter("a", engine, collector, {}, end=lambda: pytest.fail("it lives"))
    until(lambda: engine.asked > 10)
    assert len(collector.named("push")) == 1
    engine.works = True
    until(lambda: len(collector.named("push")) > 3)
    engine.works = False
    until(lambda: collector.named("push")[-1][0].prompt_tokens == engine.tokens)
    monkeypatch.setattr(reporter, "PUSH_UNCHANGED_EVERY_S", 0.0)
    until(lambda: len([one for (one,) in collector.named("push") if one.prompt_tokens == engine.tokens]) > 3)
    telling.stop()


def test_the_last_counts_are_told_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "PUSH_EVERY_S", 3600)
    engine, collector = FakeEngine(), FakeCollector()
    telling = Reporter("a", engine, collector, {}, end=lambda: pytest.fail("it lives"))
    until(lambda: len(collector.named("push")) == 1)
    telling.tell()
    assert [snapshot.prompt_tokens for (snapshot,) in collector.named("push")] == [1, 2]
    telling.stop()


def test_prometheus_texts_are_sent_where_a_service_reads_them_alone() -> None:
    scraped, unread = FakeCollector(lambda: Heard(known=True, scraped=True)), FakeCollector()
    telling = [Reporter("a", FakeEngine(), one, {}, end=lambda: pytest.fail("it lives")) for one in (scraped, unread)]
    until(lambda: scraped.named("expose") and len(unread.named("push")) > 5)
    assert not unread.named("expose")
    for one in telling:
        one.stop()


def test_a_dead_engine_ends_the_process_after_its_calls_had_time_to_end() -> None:
    engine, collector, ended = FakeEngine(), FakeCollector(), threading.Event()
    Reporter("a", engine, collector, {}, end=ended.set)
    until(lambda: collector.named("push"))
    assert not ended.wait(0.1)
    engine.dead, died_s = True, time.monotonic()
    assert ended.wait(60)
    assert time.monotonic() - died_s >= 0.05
    assert collector.named("engine_died") == [("a",)]


def test_it_does_not_end_while_a_call_is_at_work_unless_that_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter, "LISTEN_EVERY_S", 0.01)
    engine, ended, at_work = FakeEngine(), threading.Event(), [1]
    Reporter("a", engine, FakeCollector(), {}, end=ended.set, at_work=lambda: at_work[0])
    engine.dead = True
    assert not ended.wait(0.5)
    at_work[0] = 0
    assert ended.wait(60)
    monkeypatch.setattr(reporter, "LONGEST_LAST_WORDS_S", 0.2)
    engine, ended = FakeEngine(), threading.Event()
    Reporter("a", engine, FakeCollector(), {}, end=ended.set, at_work=lambda: 1)
    engine.dead = True
    assert ended.wait(60)


def test_an_engine_that_ends_because_its_replica_stops_is_no_death() -> None:
    engine, collector, ended = FakeEngine(), FakeCollector(), threading.Event()
    telling = Reporter("a", engine, collector, {}, end=ended.set)
    until(lambda: collector.named("push"))
    telling.stop()
    engine.dead = True
    assert not ended.wait(0.2)


def test_a_collector_that_fails_is_told_the_next_time() -> None:
    failures = [RuntimeError("away")]

    def answer() -> Heard:
        if failures:
            raise failures.pop()
        return KNOWN

    collector = FakeCollector(answer)
    telling = Reporter("a", FakeEngine(), collector, {}, end=lambda: pytest.fail("it lives"))
    until(lambda: len(collector.named("push")) > 2)
    telling.stop()


def test_a_collector_that_does_not_know_the_replica_is_told_its_facts() -> None:
    heard = iter([Heard(known=False, scraped=False)])
    collector = FakeCollector(lambda: next(heard, KNOWN))
    telling = Reporter("a", FakeEngine(), collector, {"dtype": "bfloat16"}, end=lambda: pytest.fail("it lives"))
    until(lambda: len(collector.named("push")) > 2)
    telling.stop()
    assert collector.named("register") == [("a", {"dtype": "bfloat16"})]


def test_serve_asks_nothing_of_the_event_loop_that_computes() -> None:
    """Where a replica has a `check_health`, Serve calls it there, and replaces a replica whose loop is busy."""
    assert not hasattr(RerankReplica, "check_health")
