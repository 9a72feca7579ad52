"""The collector keeps what replicas counted, past their death, and tells each caller what it has not seen."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.replica import collector
from serve_app.replica.collector import Collector, News
from serve_app.replica.facts import engine_fact
from stages.telemetry.telemetry import Snapshot


def nobody() -> set[str]:
    return set()


def snapshot(replica: str, finished: int) -> Snapshot:
    return Snapshot(replica, time_s=float(finished), finished=finished)


def test_news_are_what_came_since_the_number_asked_with_in_order_of_arrival() -> None:
    kept = Collector(nobody)
    kept.push(snapshot("r1", 1))
    kept.push(snapshot("r2", 1))
    first = kept.news(0)
    assert first == News(2, [snapshot("r1", 1), snapshot("r2", 1)])
    kept.push(snapshot("r1", 2))
    assert kept.news(first.sequence) == News(3, [snapshot("r1", 2)])
    assert kept.news(3) == News(3, [])


def test_without_snapshots_there_are_no_news() -> None:
    assert Collector(nobody).news(0) == News(0, [])
    assert Collector(nobody).latest() == (0, {})


def test_asking_takes_nothing_away_from_another_caller() -> None:
    kept = Collector(nobody)
    kept.push(snapshot("r1", 1))
    assert kept.news(0) == kept.news(0) == News(1, [snapshot("r1", 1)])


def test_the_last_snapshot_of_each_replica_stays_also_when_it_is_dead() -> None:
    kept = Collector(nobody)
    for one in (snapshot("dead", 5), snapshot("alive", 1), snapshot("alive", 2)):
        kept.push(one)
    assert kept.latest() == (3, {"dead": snapshot("dead", 5), "alive": snapshot("alive", 2)})


def test_what_is_given_out_does_not_change_later() -> None:
    kept = Collector(nobody)
    kept.push(snapshot("r1", 1))
    _, latest = kept.latest()
    kept.push(snapshot("r1", 2))
    assert latest == {"r1": snapshot("r1", 1)}


def test_memory_is_bounded_and_the_newest_snapshots_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "KEPT", 3)
    kept = Collector(nobody)
    for finished in range(1, 6):
        kept.push(snapshot("r1", finished))
    assert kept.news(0) == News(5, [snapshot("r1", finished) for finished in (3, 4, 5)])
    assert kept.news(4) == News(5, [snapshot("r1", 5)])


def test_later_facts_of_a_replica_add_to_earlier_ones() -> None:
    kept = Collector(nobody)
    kept.register("r1", {"process_id": 11})
    kept.register("r2", {"process_id": 12})
    kept.register("r1", {"dtype": "bfloat16"})
    told = kept.replicas()
    assert told == [{"process_id": 11, "dtype": "bfloat16", "ended_s": None}, {"process_id": 12, "ended_s": None}]


# --- replicas that die ---


def now(replica: str) -> Snapshot:
    return Snapshot(replica, time_s=time.time())


@pytest.fixture
def redeployed(monkeypatch: pytest.MonkeyPatch) -> Collector:
    """Two replicas were replaced by two others, and Ray knows only these any more; all four pushed just now."""
    monkeypatch.setattr(collector, "LOOK_EVERY_S", 0.0)
    living = {"actor a", "actor b"}
    kept = Collector(lambda: living)
    for name in "ab":
        kept.register(name, {"actor": f"actor {name}", "dtype": "float32"})
        kept.push(now(name))
        kept.expose(name, name)
    assert (kept.alive(), kept.expositions()) == (2, ["a", "b"])
    living |= {"actor c", "actor d"}
    for name in "cd":
        kept.register(name, {"actor": f"actor {name}", "dtype": "bfloat16"})
        kept.push(now(name))
        kept.expose(name, name)
    living -= {"actor a", "actor b"}
    return kept


def test_after_a_redeploy_the_new_replicas_alone_are_alive_and_shown(redeployed: Collector) -> None:
    assert redeployed.alive() == 2
    assert redeployed.expositions() == ["c", "d"]
    ended = {one["actor"]: one["ended_s"] is not None for one in redeployed.replicas()}
    assert ended == {"actor a": True, "actor b": True, "actor c": False, "actor d": False}
    assert [one["ended_s"] <= time.time() for one in redeployed.replicas() if one["ended_s"]] == [True, True]


def test_what_is_told_of_the_engine_is_what_the_living_say(redeployed: Collector) -> None:
    assert engine_fact(redeployed.replicas(), "dtype") == "bfloat16"
    assert engine_fact(redeployed.replicas()[:2], "dtype") == "float32", "the last that there was"
    assert engine_fact([{"ended_s": None}], "dtype") is None
    assert engine_fact([], "dtype") is None


def test_the_counts_of_the_dead_stay(redeployed: Collector) -> None:
    redeployed.alive()
    assert redeployed.latest()[1].keys() == {"a", "b", "c", "d"}


def test_a_replica_that_is_late_on_a_busy_machine_is_alive_while_ray_says_so() -> None:
    kept = Collector(lambda: {"actor a"})
    kept.register("a", {"actor": "actor a"})
    kept.push(Snapshot("a", time_s=time.time() - 20))
    assert kept.alive() == 1


def test_a_replica_of_which_nothing_is_heard_for_long_is_not_ready() -> None:
    kept = Collector(lambda: {"actor a"})
    kept.register("a", {"actor": "actor a"})
    kept.push(Snapshot("a", time_s=time.time() - 40))
    assert kept.alive() == 0


def test_a_replica_whose_engine_died_is_not_ready_though_its_process_lives_for_a_moment() -> None:
    kept = Collector(lambda: {"actor a"})
    kept.register("a", {"actor": "actor a"})
    kept.push(now("a"))
    kept.engine_died("a")
    assert kept.alive() == 0
    assert kept.replicas()[0]["ended_s"] is not None


def test_where_ray_cannot_be_asked_nobody_is_taken_for_dead() -> None:
    def unknown() -> set[str]:
        raise RuntimeError("the head is away")

    kept = Collector(unknown)
    kept.register("a", {"actor": "actor a"})
    kept.push(now("a"))
    assert kept.alive() == 1


def test_a_collector_that_began_anew_asks_for_the_facts_again() -> None:
    kept = Collector(lambda: {"actor a"})
    assert not kept.push(now("a")).known
    kept.register("a", {"actor": "actor a"})
    assert kept.push(now("a")).known


def test_not_all_replicas_that_ever_were_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "KEPT_REPLICAS", 2)
    kept = Collector(nobody)
    for name in "abc":
        kept.register(name, {"dtype": name})
        kept.push(now(name))
    assert [one["dtype"] for one in kept.replicas()] == ["b", "c"]
    assert kept.latest()[1].keys() == {"b", "c"}


@given(st.lists(st.integers(0, 5), max_size=10))
def test_a_caller_that_asks_now_and_then_sees_every_snapshot_once(between: list[int]) -> None:
    kept, sequence, pushed = Collector(nobody), 0, 0
    seen: list[Snapshot] = []
    for number in between:
        for _ in range(number):
            pushed += 1
            kept.push(snapshot("r1", pushed))
        sequence, news = kept.news(sequence)
        seen += news
    assert [one.finished for one in seen] == list(range(1, pushed + 1))


def test_replicas_send_their_texts_from_the_first_time_on_that_somebody_reads_them() -> None:
    kept = Collector(nobody)
    assert not kept.push(now("a")).scraped
    kept.expositions()
    assert kept.push(now("a")).scraped
