"""Real texts -> what happened between two looks: ours, vLLM's, and both as Ray exports them."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pipelines.service.scrape import ENDS, HISTOGRAMS, NUMBERS, Look, between, look_at, read_look, since_start
from pipelines.service.target import Target
from serve_app.http.metrics import ServiceMetrics
from serve_app.replica.exposition import labelled_exposition, merge_expositions
from stages.core.errors import EngineError
from tests.api_server import BODY, running_api
from tests.fake_service import FakeService


class Engine:
    """The metrics of one vLLM engine, under vLLM's names and labels."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counters = ("prompt_tokens", "generation_tokens", "prefix_cache_queries", "prefix_cache_hits")
        self.counters = {name: self.family(Counter, name) for name in (*counters, "num_preemptions")}
        gauges = ("kv_cache_usage_perc", "num_requests_running", "num_requests_waiting")
        self.gauges = {name: self.family(Gauge, name) for name in gauges}
        times = ("request_queue_time_seconds", "e2e_request_latency_seconds")
        self.times = {name: self.family(Histogram, name, buckets=(0.3, 0.5, 1.0)) for name in times}
        self.sizes = self.family(Histogram, "request_prompt_tokens", buckets=(100, 200, 500))
        ends = Counter(
            "vllm:request_success", "As vLLM says.", ["model_name", "engine", "finished_reason"], registry=self.registry
        )
        self.ends = {reason: ends.labels("m", "0", reason) for reason in ENDS}

    def family(self, kind: type[Any], name: str, **options: Any) -> Any:
        family = kind(f"vllm:{name}", "As vLLM says.", ["model_name", "engine"], registry=self.registry, **options)
        return family.labels("m", "0")

    def score(self, prompts: int = 10, tokens: int = 200, hits: int = 50, seconds: float = 0.2) -> None:
        for _ in range(prompts):
            self.counters["prompt_tokens"].inc(tokens)
            self.counters["prefix_cache_queries"].inc(tokens)
            self.counters["prefix_cache_hits"].inc(hits)
            self.times["request_queue_time_seconds"].observe(seconds / 2)
            self.times["e2e_request_latency_seconds"].observe(seconds)
            self.sizes.observe(tokens)
            self.ends["stop"].inc()

    def text(self, replica: str | None = None) -> str:
        return (
            generate_latest(self.registry).decode() if replica is None else labelled_exposition(self.registry, replica)
        )


def look(*texts: str, at_s: float = 0.0) -> Look:
    return read_look(merge_expositions(texts), at_s)


# --- our own service ---


def test_our_service_tells_what_happened_between_two_looks() -> None:
    with running_api(max_documents=5) as api:
        target = Target(api.url)
        api.client.post("/v1/rerank", json=BODY)
        before = look_at(target)
        for _ in range(3):
            assert api.client.post("/v1/rerank", json=BODY).is_success
        api.client.post("/v1/rerank", json={**BODY, "documents": ["a"] * 6})
        api.client.post("/v1/rerank", json={**BODY, "query": "another"})
        after = look_at(target)
    seen = between(before, after)
    assert seen.seconds == after.at_s - before.at_s > 0
    assert (seen.answered, seen.rejected, seen.failed) == (4, {"bad_request": 1}, {})
    assert (seen.queries, seen.repeats, seen.documents_per_request) == (4, 3, 3.0)
    assert seen.request_s is not None and seen.request_s.count == 4
    assert seen.stage_shares == pytest.approx({"queue": 2 / 6, "tokenize": 1 / 6, "engine": 3 / 6})
    assert (seen.ready_replicas, seen.per_prompt) == (1, False)
    assert since_start(after).answered == 5
    assert since_start(after).seconds is None


def test_without_an_engine_in_sight_its_numbers_are_none_and_not_zero() -> None:
    registry = CollectorRegistry()
    ServiceMetrics(registry)
    seen = since_start(look(labelled_exposition(registry, "api")))
    assert (seen.prompt_tokens, seen.generation_tokens, seen.prefix_hits, seen.preemptions) == (None,) * 4
    assert (seen.kv_usage, seen.running, seen.waiting, seen.replicas) == (None, None, None, 0)
    assert seen.queue_s is not None and seen.queue_s.count == 0


def test_counters_and_queues_are_added_over_replicas_and_the_fullest_cache_is_told() -> None:
    api, engines = CollectorRegistry(), (Engine(), Engine())
    ServiceMetrics(api).ready_replicas(2)
    for usage, engine in zip((0.2, 0.6), engines, strict=True):
        engine.score(10)
        engine.gauges["kv_cache_usage_perc"].set(usage)
        engine.gauges["num_requests_running"].set(8)
        engine.gauges["num_requests_waiting"].set(3)
    texts = [labelled_exposition(api, "api"), *(engine.text(f"r{n}") for n, engine in enumerate(engines))]
    seen = since_start(look(*texts))
    assert (seen.prompt_tokens, seen.prefix_queries, seen.prefix_hits) == (4000, 4000, 1000)
    assert (seen.kv_usage, seen.running, seen.waiting, seen.replicas, seen.ready_replicas) == (0.6, 16, 6, 2, 2)
    assert seen.generation_tokens == 0


def test_a_batch_jobs_wait_is_vllms_where_no_query_came_over_http() -> None:
    api, engine = CollectorRegistry(), Engine()
    metrics = ServiceMetrics(api)
    engine.score(10)
    job_alone = since_start(look(labelled_exposition(api, "api"), engine.text("r1")))
    assert job_alone.queue_s is not None and job_alone.queue_s.count == 10
    assert (job_alone.answered, job_alone.per_prompt, job_alone.idle) == (0, False, False)
    metrics.stages(0.01, 0.01, 0.01)
    with_queries = since_start(look(labelled_exposition(api, "api"), engine.text("r1")))
    assert with_queries.queue_s is not None and with_queries.queue_s.count == 1


# --- replicas that come and go ---


def test_a_replica_that_restarted_counts_from_zero_again() -> None:
    old, young = Engine(), Engine()
    old.score(100)
    young.score(7)
    seen = between(look(old.text("r1")), look(young.text("r1"), at_s=10))
    assert (seen.prompt_tokens, seen.answered) == (1400, 7)
    assert seen.queue_s is not None and seen.queue_s.count == 7


@given(st.lists(st.integers(0, 30), min_size=2, max_size=6), st.integers(0, 5))
def test_a_counters_growth_is_promqls_whatever_restarts(values: list[int], new: int) -> None:
    texts = [f'vllm:prompt_tokens_total{{replica="r"}} {value}\n' for value in values]
    looks = [read_look(f"# TYPE vllm:prompt_tokens_total counter\n{text}", float(n)) for n, text in enumerate(texts)]
    grown = [between(a, b).prompt_tokens for a, b in pairwise(looks)]
    assert grown == [b - a if b >= a else b for a, b in pairwise(values)]


def test_a_replica_that_is_new_beside_others_counts_from_zero() -> None:
    first, second = Engine(), Engine()
    second.score(5)
    seen = between(look(first.text("r1")), look(first.text("r1"), second.text("r2"), at_s=10))
    assert seen.prompt_tokens == 1000


def test_where_the_first_look_saw_no_engine_what_engines_did_is_not_known() -> None:
    """The service's telemetry was away for a moment: all that the engines ever did is not news."""
    api, engine = CollectorRegistry(), Engine()
    ServiceMetrics(api)
    engine.score(10_000)
    own = labelled_exposition(api, "api")
    seen = between(look(own), look(own, engine.text("r1"), at_s=2))
    assert (seen.prompt_tokens, seen.generation_tokens, seen.prefix_queries) == (None, None, None)
    assert seen.replicas == 1


def test_a_replica_that_is_gone_takes_its_counts_along() -> None:
    first, second = Engine(), Engine()
    first.score(5)
    seen = between(look(first.text("r1"), second.text("r2")), look(second.text("r2"), at_s=10))
    assert (seen.prompt_tokens, seen.replicas) == (0, 1)


# --- a vLLM server of its own ---


def test_a_bare_vllm_server_tells_of_prompts_how_each_ended() -> None:
    engine = Engine()
    before = look(engine.text())
    engine.score(20, tokens=300, hits=90, seconds=0.4)
    engine.ends["abort"].inc(2)
    engine.ends["error"].inc(1)
    engine.counters["num_preemptions"].inc(3)
    refused = Counter("vllm:admission_rejections", "x", ["model_name", "reason"], registry=engine.registry)
    refused.labels("m", "max_num_queued_reqs").inc(4)
    seen = between(before, look(engine.text(), at_s=10))
    assert (seen.answered, seen.failed, seen.rejected) == (
        20,
        {"client_gone": 2, "engine_error": 1},
        {"max_num_queued_reqs": 4},
    )
    assert (seen.per_prompt, seen.pairs_per_s, seen.tokens_per_pair) == (True, 2.0, 300.0)
    assert (seen.prefix_hit_rate, seen.preemptions) == (0.3, 3)
    assert seen.request_s is not None and seen.request_s.count == 20
    assert (seen.documents, seen.queries, seen.repeats, seen.ready_replicas) == (None,) * 4


def _source(*parts: str) -> str:
    found = importlib.util.find_spec("vllm")  # its source is read, not imported
    assert found is not None and found.origin is not None
    return Path(found.origin).parent.joinpath("v1", *parts).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(name for name in NUMBERS | HISTOGRAMS if name.startswith("vllm:")))
def test_the_installed_vllm_has_every_name_that_is_read(name: str) -> None:
    assert f'name="{name.removesuffix("_total")}"' in _source("metrics", "loggers.py")


def test_every_way_in_which_the_installed_vllm_ends_a_prompt_is_known() -> None:
    words = _source("engine", "__init__.py").split("FINISH_REASON_STRINGS = ")[1].split(")")[0] + ")"
    assert set(ast.literal_eval(words)) == set(ENDS)


def test_every_name_of_ours_that_is_read_is_one_that_the_service_gives() -> None:
    registry = CollectorRegistry()
    ServiceMetrics(registry)
    given_names = {sample.name for family in registry.collect() for sample in family.samples}
    read = {name for name in NUMBERS if name.startswith("rerank_")}
    read |= {f"{name}_sum" for name in HISTOGRAMS if name.startswith("rerank_")}
    assert read <= given_names


# --- through Ray's exporter ---

EXPORT = """
from prometheus_client import generate_latest
from ray._private.telemetry.open_telemetry_metric_recorder import OpenTelemetryMetricRecorder

recorder = OpenTelemetryMetricRecorder()
for replica in ("a", "b"):
    tags = {"ReplicaId": replica, "WorkerId": replica, "engine": "0", "model_name": "m"}
    for name, value in (("vllm_prompt_tokens", 900), ("vllm_generation_tokens", 0), ("vllm_prefix_cache_queries", 900)):
        recorder.register_counter_metric(name, "As vLLM says.")
        recorder.set_metric_value(name, tags, value)
    for reason in ("stop", "abort"):
        recorder.register_counter_metric("vllm_request_success", "As vLLM says.")
        recorder.set_metric_value("vllm_request_success", tags | {"finished_reason": reason}, 5)
    for name, value in (("vllm_kv_cache_usage_perc", 0.4), ("vllm_num_requests_running", 3)):
        recorder.register_gauge_metric(name, "As vLLM says.")
        recorder.set_metric_value(name, tags, value)
    queue = "vllm_request_queue_time_seconds"
    recorder.register_histogram_metric(queue, "As vLLM says.", [0.3, 0.5])
    recorder.record_histogram_aggregated_batch(queue, [{"tags": tags, "bucket_counts": [4, 1, 0]}])
if OURS:
    recorder.register_counter_metric("rerank_requests_total", "Ours.")
    tags = {"endpoint": "rerank", "outcome": "failed", "reason": "timeout"}
    recorder.set_metric_value("rerank_requests_total", tags, 2)
print(generate_latest().decode())
"""


@pytest.mark.parametrize("ours", [False, True])
def test_rays_exporter_tells_the_same_under_its_own_names(ours: bool) -> None:
    """Ray's own recorder writes the text; in a process of its own, since it keeps it in that process's registry."""
    script = EXPORT.replace("OURS", str(ours))
    text = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "ray_vllm_prompt_tokens_total" in text
    seen = since_start(read_look(text, 0.0))
    assert (seen.prompt_tokens, seen.generation_tokens, seen.prefix_queries) == (1800, 0, 1800)
    assert (seen.kv_usage, seen.running, seen.replicas) == (0.4, 6, 2)
    assert seen.queue_s is not None
    assert (seen.queue_s.bounds, seen.queue_s.counts) == ((0.3, 0.5, math.inf), (8, 10, 10))
    assert seen.per_prompt is not ours
    assert (seen.answered, seen.failed) == ((0, {"timeout": 2}) if ours else (10, {"client_gone": 10}))


def test_a_counter_that_ray_exports_a_second_time_as_a_gauge_counts_once() -> None:
    text = (
        "# TYPE ray_vllm_prompt_tokens_total counter\nray_vllm_prompt_tokens_total 7\n"
        "# TYPE ray_vllm_prompt_tokens gauge\nray_vllm_prompt_tokens 7\n"
    )
    assert since_start(read_look(text, 0.0)).prompt_tokens == 7


# --- what is no such text ---


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no metric of a reranker"),
        ("# TYPE node_load1 gauge\nnode_load1 0.5\n", "no metric of a reranker"),
        ("<!doctype html><html><body>Welcome</body></html>", "no Prometheus text"),
        ('{"status": "ok"}', "no Prometheus text"),
        ("# TYPE rerank_requests_total counter\nrerank_requests_total 7\n", "without the label outcome"),
        ('# TYPE rerank_queue_seconds histogram\nrerank_queue_seconds_sum{a="b"} 7\n', "no Prometheus text"),
        ('# TYPE rerank_queue_seconds histogram\nrerank_queue_seconds_bucket{a="b"} 7\n', "no Prometheus text"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_line(text: str, told: str) -> None:
    with pytest.raises(EngineError, match=told) as error:
        read_look(text, 0.0)
    assert "\n" not in str(error.value)


@given(st.text(max_size=200))
def test_no_text_makes_it_fail_in_another_way(text: str) -> None:
    with contextlib.suppress(EngineError):
        read_look(text, 0.0)


def test_numbers_that_are_none_are_left_out() -> None:
    text = (
        "# TYPE vllm:kv_cache_usage_perc gauge\n"
        'vllm:kv_cache_usage_perc{engine="0"} NaN\nvllm:kv_cache_usage_perc{engine="1"} 0.3\n'
    )
    assert since_start(read_look(text, 0.0)).kv_usage == 0.3


def test_a_service_without_metrics_and_one_that_is_not_there_are_told_by_their_address() -> None:
    with FakeService() as service:
        with pytest.raises(EngineError, match=f"{service.url}/metrics answers 404"):
            look_at(Target(service.url))
        url = service.url
    with pytest.raises(EngineError, match=f"{url} does not answer"):
        look_at(Target(url))
