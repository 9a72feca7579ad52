"""Each golden metric: its zone, its colour, and words that name what to do."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from stages.telemetry.health import Zones
from stages.telemetry.histogram import Histogram
from stages.telemetry.readings import NOT_TOLD, Reading, duration, listed, readings
from stages.telemetry.traffic import Traffic
from tests.served_traffic import WELL as SERVED
from tests.served_traffic import sizes, spread

KEYS = (
    "kv_usage",
    "prefix_hit_rate",
    "failed_share",
    "rejected_share",
    "queue_p95_s",
    "request_p95_s",
    "requests_per_s",
    "pairs_per_s",
    "documents_per_request",
    "prompt_tokens_per_s",
    "generation_tokens",
    "preemptions",
    "waiting",
    "ready_replicas",
)


WELL = replace(SERVED, request_s=spread(0.15))


def read(key: str, zones: Zones | None = None, traffic: Traffic = WELL, **changed: object) -> Reading:
    told = {one.key: one for one in readings(replace(traffic, **changed), zones or Zones())}  # type: ignore[arg-type]
    return told[key]


def test_all_are_there_in_the_same_order_whether_told_or_not() -> None:
    assert tuple(one.key for one in readings(WELL, Zones())) == KEYS
    assert tuple(one.key for one in readings(Traffic(10.0), Zones())) == KEYS


def test_a_service_that_works_well_has_nothing_bad_and_nothing_unsure() -> None:
    assert {one.tone for one in readings(WELL, Zones())} == {"good", "plain"}


def test_what_is_not_told_has_no_value_and_is_never_zero() -> None:
    untold = [one for one in readings(Traffic(10.0), Zones()) if one.zone == NOT_TOLD]
    assert {one.key for one in untold} == set(KEYS) - {"failed_share", "rejected_share", "requests_per_s"}
    assert all(one.value is None and one.text == "–" and one.tone == "plain" for one in untold)


@pytest.mark.parametrize(
    ("used", "zone", "tone"),
    [
        (0.0, "barely used", "plain"),
        (0.49, "barely used", "plain"),
        (0.5, "fine", "good"),
        (0.7, "good", "good"),
        (0.9, "good", "good"),
        (0.93, "nearly full", "unsure"),
        (0.95, "nearly full", "unsure"),
        (0.96, "thrashing", "bad"),
    ],
)
def test_the_kv_caches_zones(used: float, zone: str, tone: str) -> None:
    reading = read("kv_usage", kv_usage=used)
    assert (reading.zone, reading.tone) == (zone, tone)


def test_a_low_kv_cache_use_is_explained_and_a_full_one_says_what_to_change() -> None:
    assert "idle cached blocks as free" in read("kv_usage").words
    assert "prefix hits tell more" in read("kv_usage").words
    assert "engine.max_num_seqs" in read("kv_usage", kv_usage=0.99).words


@pytest.mark.parametrize(
    ("hits", "documents", "repeats", "zone", "tone"),
    [
        (60_000, 20, 0, "used", "good"),
        (0, 20, 0, "missed", "bad"),
        (0, 2, 50, "missed", "bad"),
        (0, 2, 0, "nothing shared", "unsure"),
        (60_000, 1, 0, "template alone", "unsure"),
        (60_000, 1, 30, "used", "good"),
    ],
)
def test_few_prefix_hits_are_a_fault_only_where_something_is_shared(
    hits: int, documents: float, repeats: int, zone: str, tone: str
) -> None:
    reading = read("prefix_hit_rate", prefix_hits=hits, documents=sizes(documents), repeats=repeats)
    assert (reading.zone, reading.tone) == (zone, tone)


def test_beside_the_prefix_hits_stands_what_could_be_expected() -> None:
    reading = read("prefix_hit_rate")
    assert reading.text == "30.0%"
    assert "0% of queries repeat, 20.0 documents a request: at most 95% of prompts" in reading.words


def test_a_cache_that_was_not_asked_is_told_apart_from_one_that_did_not_hit() -> None:
    reading = read("prefix_hit_rate", prefix_queries=0.0, prefix_hits=0.0)
    assert (reading.value, reading.zone, reading.tone) == (None, "not used", "plain")


@pytest.mark.parametrize(
    ("failed", "zone", "tone"),
    [
        ({}, "none", "good"),
        ({"client_gone": 50}, "none", "good"),
        ({"timeout": 1}, "a few", "unsure"),
        ({"timeout": 30, "engine_error": 2}, "failing", "bad"),
    ],
)
def test_failures_are_ours_alone_and_bad_from_a_share_on(failed: dict[str, float], zone: str, tone: str) -> None:
    reading = read("failed_share", failed=failed)
    assert (reading.zone, reading.tone) == (zone, tone)


def test_failures_are_told_with_their_reasons_the_most_frequent_first() -> None:
    reading = read("failed_share", failed={"engine_error": 2, "timeout": 30})
    assert reading.text == "32 of 132"
    assert reading.words.startswith("timeout 30, engine_error 2;")


@pytest.mark.parametrize(
    ("rejected", "zone", "tone"),
    [
        ({}, "none", "good"),
        ({"bad_request": 90}, "callers' mistakes", "plain"),
        ({"overload": 20}, "overloaded", "bad"),
        ({"max_num_queued_reqs": 20}, "overloaded", "bad"),
    ],
)
def test_refusals_for_want_of_room_are_ours_and_others_the_callers(
    rejected: dict[str, float], zone: str, tone: str
) -> None:
    reading = read("rejected_share", rejected=rejected)
    assert (reading.zone, reading.tone) == (zone, tone)


def test_the_queue_is_long_from_the_limit_on() -> None:
    assert (read("queue_p95_s").zone, read("queue_p95_s").tone) == ("short", "good")
    long = read("queue_p95_s", queue_s=spread(0.4))
    assert (long.zone, long.tone) == ("too long", "bad")
    assert "200 ms" in long.words
    assert read("queue_p95_s", Zones(queue_p95_s=0.6), queue_s=spread(0.4)).zone == "short"
    assert read("queue_p95_s", queue_s=spread(0.4, 0)).zone == "no query"


def test_a_queue_in_vllms_wide_first_bucket_is_not_judged() -> None:
    reading = read("queue_p95_s", queue_s=Histogram((0.3, math.inf), (100.0, 100.0), 12.0))
    assert (reading.text, reading.zone, reading.tone) == ("< 300 ms", "cannot be told", "unsure")


def test_the_time_of_requests_is_judged_by_your_own_limit_alone() -> None:
    assert read("request_p95_s").text == "150 ms, p95 195 ms, p99 199 ms"
    assert read("request_p95_s").tone == "plain"
    assert read("request_p95_s", Zones(request_p95_s=0.1)).tone == "bad"
    assert read("request_p95_s", Zones(request_p95_s=0.5)).tone == "good"


def test_load_is_told_by_the_second_and_since_the_start_in_all() -> None:
    assert read("requests_per_s").text == "10.0/s"
    assert read("pairs_per_s").text == "200/s"
    since = read("pairs_per_s", seconds=None)
    assert (since.text, since.value) == ("2,000 in all", None)


def test_the_prompts_of_a_bare_server_are_called_prompts() -> None:
    bare = Traffic(10.0, answered=50, per_prompt=True, request_s=spread(0.1))
    assert read("requests_per_s", traffic=bare).name == "prompts"
    assert read("request_p95_s", traffic=bare).name == "prompt time"


def test_a_single_generated_token_is_bad() -> None:
    reading = read("generation_tokens", generation_tokens=1.0)
    assert (reading.text, reading.tone, reading.zone) == ("1", "bad", "generating")


def test_preemptions_thrash() -> None:
    assert read("preemptions", preemptions=3.0).tone == "bad"


def test_waiting_prompts_are_told_with_those_that_run() -> None:
    assert read("waiting", waiting=120.0).text == "120, 8 running"


def test_no_ready_replica_is_bad() -> None:
    assert read("ready_replicas", ready_replicas=0.0).tone == "bad"


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "–"), (0.0005, "0.500 ms"), (0.25, "250 ms"), (1.0, "1.00 s"), (42.0, "42.0 s")]
)
def test_times_are_told_in_milliseconds_below_a_second(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_counts_are_listed_by_size() -> None:
    assert listed({"a": 1, "b": 2000}) == "b 2,000, a 1"
