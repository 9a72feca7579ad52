"""What the counters conclude: planted faults by their own name, and a healthy service called healthy."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from stages.diagnosis.finding import Finding, Weight
from stages.diagnosis.metrics import metric_findings
from stages.telemetry.health import Zones
from stages.telemetry.histogram import Histogram
from stages.telemetry.traffic import Traffic
from tests.served_traffic import WELL, sizes, spread


def found(kind: str, **changed: object) -> Finding:
    traffic = replace(WELL, **changed)  # type: ignore[arg-type]
    return {one.kind: one for one in metric_findings(traffic, Zones())}[kind]


def kinds(**changed: object) -> set[str]:
    traffic = replace(WELL, **changed)  # type: ignore[arg-type]
    return {one.kind for one in metric_findings(traffic, Zones()) if one.weight > Weight.NOTE}


def test_a_healthy_service_is_called_healthy_and_why() -> None:
    findings = metric_findings(WELL, Zones())
    assert {one.weight for one in findings} == {Weight.FINE}
    assert {one.kind for one in findings} == {"failures", "queue", "prefix_unused", "kv_thrashing", "generating"}
    assert [one.words for one in findings][:3] == [
        "None of 100 requests failed.",
        "95 % of queries waited no longer than 95.0 ms for the engine.",
        "The prefix cache works: 30.0% of prompt tokens were not computed again.",
    ]


@pytest.mark.parametrize(
    ("changed", "kind", "weight"),
    [
        ({"ready_replicas": 0.0}, "no_replica", Weight.BROKEN),
        ({"failed": {"timeout": 5}}, "failures", Weight.BROKEN),
        ({"failed": {"timeout": 1}}, "failures", Weight.NOTE),
        ({"failed": {"client_gone": 80}}, "failures", Weight.FINE),
        ({"generation_tokens": 1.0}, "generating", Weight.BROKEN),
        ({"kv_usage": 0.97}, "kv_thrashing", Weight.LIMIT),
        ({"preemptions": 2.0}, "kv_thrashing", Weight.LIMIT),
        ({"rejected": {"overload": 20}}, "overload", Weight.LIMIT),
        ({"rejected": {"bad_request": 90}}, "rejected", Weight.NOTE),
        ({"queue_s": spread(0.4)}, "queue", Weight.LIMIT),
        ({"prefix_hits": 0, "documents": sizes(2)}, "prefix_unused", Weight.COST),
        ({"prefix_hits": 0}, "prefix_missed", Weight.COST),
    ],
)
def test_each_fault_is_named_and_alone(changed: dict[str, object], kind: str, weight: Weight) -> None:
    finding = found(kind, **changed)
    assert finding.weight == weight
    assert kinds(**changed) == ({kind} if weight > Weight.NOTE else set())
    assert finding.words.endswith(".")
    assert (finding.advice is not None) or weight <= Weight.NOTE


def test_failures_advise_by_their_most_frequent_reason() -> None:
    finding = found("failures", failed={"not_ready": 9, "timeout": 2, "client_gone": 70})
    assert finding.words == "11 of 111 requests failed (9.9%): not_ready 9, timeout 2."
    assert finding.evidence == {"failed_share": pytest.approx(11 / 111), "failed_not_ready": 9, "failed_timeout": 2}
    assert finding.advice is not None
    assert "serve status" in finding.advice.action


def test_a_queue_too_long_for_the_replicas_doubles_them() -> None:
    finding = found("queue", queue_s=spread(0.4), request_s=spread(0.8), waiting=40.0)
    assert finding.words == (
        "The queue is too long for 2 replicas: queries wait for the engine (p95 485 ms, the limit is 200 ms), 8.00 "
        "requests at once."
    )
    assert finding.advice is not None
    assert (finding.advice.setting, finding.advice.now, finding.advice.value) == ("serve.replicas", 2, 4)
    assert "10,000 tokens/s each" in finding.advice.effect
    assert finding.evidence["requests_at_once"] == pytest.approx(8.0)
    assert finding.evidence["waiting_prompts"] == 40


def test_one_request_at_a_time_waits_for_itself_and_no_replica_would_help() -> None:
    alone = {"queue_s": spread(0.4), "answered": 10, "request_s": spread(0.9, 10), "documents": sizes(500)}
    finding = found("own_queue", **alone)
    assert finding.weight == Weight.NOTE
    assert "500 documents in each" in finding.words
    assert kinds(**alone) == set()


def test_a_bare_server_has_no_replicas_to_double() -> None:
    bare = Traffic(10.0, answered=50, per_prompt=True, queue_s=spread(0.4), request_s=spread(0.5), running=4, waiting=9)
    finding = next(one for one in metric_findings(bare, Zones()) if one.kind == "queue")
    assert finding.weight == Weight.LIMIT
    assert "for the engines" in finding.words
    assert finding.advice is not None
    assert finding.advice.setting is None


def test_a_queue_that_the_buckets_do_not_tell_is_a_note() -> None:
    wide = Histogram((0.3, math.inf), (100.0, 100.0), 12.0)
    assert found("queue", queue_s=wide).weight == Weight.NOTE


def test_a_thrashing_cache_advises_three_quarters_of_the_prompts_at_work_in_an_engine() -> None:
    advice = found("kv_thrashing", kv_usage=0.99, running=256.0).advice
    assert advice is not None
    assert (advice.setting, advice.value) == ("engine.max_num_seqs", 96)


def test_queries_that_never_repeat_with_few_documents_want_one_request_or_no_cache() -> None:
    finding = found("prefix_unused", prefix_hits=0, documents=sizes(1))
    assert "they never repeat" in finding.words
    assert finding.advice is not None
    assert "in one request" in finding.advice.action
    advice = finding.advice
    assert (advice.setting, advice.now, advice.value) == ("engine.prefix_caching", True, False)
    assert "seldom repeat" in found("prefix_unused", prefix_hits=0, documents=sizes(1), repeats=10).words


def test_where_only_the_template_is_found_the_cache_stays_on_but_the_query_is_not_shared() -> None:
    """The template and instruction of Qwen3 are a third of a short prompt, and the same for every query."""
    finding = found("prefix_unused", documents=sizes(1))
    assert (finding.weight, finding.evidence["prefix_hit_rate"]) == (Weight.COST, 0.3)
    assert finding.advice is not None
    assert (finding.advice.setting, finding.advice.action) == (None, "send all documents of a query in one request")
    assert found("prefix_unused", documents=sizes(1), repeats=60).weight == Weight.FINE
    assert found("prefix_unused", documents=sizes(3)).weight == Weight.FINE


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"kv_usage": 0.92}, "more memory"),
        ({"documents": sizes(2), "repeats": 60}, "whichever replica is free"),
        ({"documents": sizes(2), "repeats": 60, "ready_replicas": 1.0}, "blocks smaller"),
        ({}, "blocks smaller"),
    ],
)
def test_shared_prefixes_that_are_not_found_have_a_cause(changed: dict[str, object], told: str) -> None:
    advice = found("prefix_missed", prefix_hits=0, **changed).advice
    assert advice is not None
    assert told in advice.action


def test_a_cache_that_is_off_is_not_judged() -> None:
    assert "prefix_unused" not in {
        one.kind for one in metric_findings(replace(WELL, prefix_queries=0.0, prefix_hits=0.0), Zones())
    }


def test_nobody_asked_is_said_and_nothing_else_judged() -> None:
    (finding,) = metric_findings(Traffic(10.0, kv_usage=0.99, ready_replicas=1), Zones())
    assert (finding.kind, finding.weight) == ("idle", Weight.NOTE)
    assert finding.words == "In the last 10.0 s nobody asked: there is nothing to judge."


def test_a_service_without_replicas_is_broken_though_nobody_asks() -> None:
    assert [one.kind for one in metric_findings(Traffic(10.0, ready_replicas=0), Zones())] == ["no_replica", "idle"]


def test_zones_are_settings() -> None:
    strict = Zones(queue_p95_s=0.12, failed_share=0.0)
    worse = metric_findings(replace(WELL, failed={"timeout": 1}, queue_s=spread(0.15)), strict)
    assert {one.kind for one in worse if one.weight > Weight.NOTE} == {"failures", "queue"}
