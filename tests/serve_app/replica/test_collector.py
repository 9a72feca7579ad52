"""The collector keeps what replicas counted, past their death, and tells each caller what it has not seen."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.replica import collector
from serve_app.replica.collector import Collector, News
from stages.telemetry.telemetry import Snapshot


def snapshot(replica: str, finished: int) -> Snapshot:
    return Snapshot(replica, time_s=float(finished), finished=finished)


def test_news_are_what_came_since_the_number_asked_with_in_order_of_arrival() -> None:
    kept = Collector()
    kept.push(snapshot("r1", 1))
    kept.push(snapshot("r2", 1))
    first = kept.news(0)
    assert first == News(2, [snapshot("r1", 1), snapshot("r2", 1)])
    kept.push(snapshot("r1", 2))
    assert kept.news(first.sequence) == News(3, [snapshot("r1", 2)])
    assert kept.news(3) == News(3, [])


def test_without_snapshots_there_are_no_news() -> None:
    assert Collector().news(0) == News(0, [])
    assert Collector().latest() == (0, {})


def test_asking_takes_nothing_away_from_another_caller() -> None:
    kept = Collector()
    kept.push(snapshot("r1", 1))
    assert kept.news(0) == kept.news(0) == News(1, [snapshot("r1", 1)])


def test_the_last_snapshot_of_each_replica_stays_also_when_it_is_dead() -> None:
    kept = Collector()
    for one in (snapshot("dead", 5), snapshot("alive", 1), snapshot("alive", 2)):
        kept.push(one)
    assert kept.latest() == (3, {"dead": snapshot("dead", 5), "alive": snapshot("alive", 2)})


def test_what_is_given_out_does_not_change_later() -> None:
    kept = Collector()
    kept.push(snapshot("r1", 1))
    _, latest = kept.latest()
    kept.push(snapshot("r1", 2))
    assert latest == {"r1": snapshot("r1", 1)}


def test_memory_is_bounded_and_the_newest_snapshots_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "KEPT", 3)
    kept = Collector()
    for finished in range(1, 6):
        kept.push(snapshot("r1", finished))
    assert kept.news(0) == News(5, [snapshot("r1", finished) for finished in (3, 4, 5)])
    assert kept.news(4) == News(5, [snapshot("r1", 5)])


def test_later_facts_of_a_replica_add_to_earlier_ones() -> None:
    kept = Collector()
    kept.register("r1", {"process_id": 11})
    kept.register("r2", {"process_id": 12})
    kept.register("r1", {"dtype": "bfloat16"})
    told = kept.replicas()
    assert [one.pop("told_s") <= time.time() for one in told] == [True, True]
    assert told == [{"process_id": 11, "dtype": "bfloat16"}, {"process_id": 12}]


@given(st.lists(st.integers(0, 5), max_size=10))
def test_a_caller_that_asks_now_and_then_sees_every_snapshot_once(between: list[int]) -> None:
    kept, sequence, pushed = Collector(), 0, 0
    seen: list[Snapshot] = []
    for number in between:
        for _ in range(number):
            pushed += 1
            kept.push(snapshot("r1", pushed))
        sequence, news = kept.news(sequence)
        seen += news
    assert [one.finished for one in seen] == list(range(1, pushed + 1))
