"""Alerts and dashboard: their names exist, each alert fires when it should and only then, each query finds data."""

from __future__ import annotations

import importlib.util
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from serve_app.http.metrics import ServiceMetrics
from serve_app.replica.exposition import CONTENT_TYPE, labelled_exposition, merge_expositions
from tests.monitoring import (
    DASHBOARD,
    PROMETHEUS,
    RULES,
    ask,
    assert_dashboard_has_data,
    dashboard_queries,
    metric_names,
    requires_prometheus,
    running_prometheus,
)

pytestmark = pytest.mark.heavy

ALERTS = {rule["alert"]: rule for rule in RULES if "alert" in rule}
PANELS = DASHBOARD["panels"]


class Processes:
    """The registries of one API process and one engine's process; the engine's names and labels are vLLM's."""

    def __init__(self) -> None:
        self.api, self.engine = CollectorRegistry(), CollectorRegistry()
        self.service = ServiceMetrics(self.api)
        self.service.ready_replicas(1)
        gauges = ("kv_cache_usage_perc", "num_requests_running", "num_requests_waiting")
        counters = (
            "prefix_cache_queries",
            "prefix_cache_hits",
            "prompt_tokens",
            "generation_tokens",
            "num_preemptions",
        )
        self.gauges = {name: self._family(Gauge, name) for name in gauges}
        self.counters = {name: self._family(Counter, name) for name in counters}
        self.queue = self._family(Histogram, "request_queue_time_seconds")
        self.success = self._family(Counter, "request_success", finished_reason="stop")

    def work(self) -> None:
        """One request of 10 documents: new tokens in, a third of them from the cache, none out."""
        self.service.query_seen("the same query")
        self.service.stages(queue_s=0.01, tokenize_s=0.002, engine_s=0.2)
        self.service.request_done("rerank", "ok", "none", 0.22, documents=10, prompt_tokens=900)
        for name, amount in (("prompt_tokens", 900), ("prefix_cache_queries", 900), ("prefix_cache_hits", 300)):
            self.counters[name].inc(amount)
        self.gauges["kv_cache_usage_perc"].set(0.4)
        self.queue.observe(0.01)
        self.success.inc(10)

    def exposition(self) -> str:
        return merge_expositions([labelled_exposition(self.api, "api"), labelled_exposition(self.engine, "reranker")])

    def _family(self, kind: type[Any], name: str, **further: str) -> Any:
        labels = {"model_name": "m", "engine": "0", **further}
        return kind(f"vllm:{name}", "As vLLM says.", list(labels), registry=self.engine).labels(**labels)


@pytest.fixture
def scraped() -> Iterator[str]:
    """host:port of a /metrics that does some work before each answer."""
    processes = Processes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            processes.work()
            body = processes.exposition().encode()
            self.send_response(200 if self.path == "/metrics" else 404)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def promtool(*arguments: str) -> None:
    done = subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# --- names ---


def test_every_name_is_one_that_the_service_the_engine_or_a_rule_gives() -> None:
    registry = CollectorRegistry()
    ServiceMetrics(registry)
    ours = {sample.name for family in registry.collect() for sample in family.samples}
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    rest = metric_names() - ours - recorded
    assert {name for name in rest if not name.startswith("vllm:")} == set()
    found = importlib.util.find_spec("vllm")  # its source is read, not imported
    assert found is not None and found.origin is not None
    source = (Path(found.origin).parent / "v1" / "metrics" / "loggers.py").read_text(encoding="utf-8")
    assert {name for name in rest if f'name="{name.removesuffix("_total")}"' not in source} == set()


# --- rules ---


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_says_what_is_wrong_and_in_one_sentence_what_to_do(alert: str) -> None:
    annotations = ALERTS[alert]["annotations"]
    assert set(annotations) == {"summary", "action"}
    assert annotations["action"].endswith(".") and ". " not in annotations["action"]
    assert ALERTS[alert]["labels"]["severity"] in {"warning", "critical"}


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_tested_to_fire_and_not_to_fire(alert: str) -> None:
    tests = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text(encoding="utf-8"))["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"] if case["alertname"] == alert]
    assert {bool(case["exp_alerts"]) for case in cases} == {True, False}


@requires_prometheus
def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))
    promtool("check", "rules", "--lint-fatal", str(PROMETHEUS / "rules.yml"))


@requires_prometheus
def test_each_alert_fires_when_it_should_and_only_then() -> None:
    promtool("test", "rules", str(PROMETHEUS / "rules_test.yml"))


# --- dashboard ---


def test_every_panel_has_a_title_a_description_a_unit_and_queries_of_the_chosen_data_source() -> None:
    (variable,) = DASHBOARD["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    for panel in PANELS:
        assert panel["title"] and panel["description"] and panel["fieldConfig"]["defaults"]["unit"]
        for asks in (panel, *panel["targets"]):
            assert asks["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_panels_and_queries_have_ids_and_legends_of_their_own() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    for panel in PANELS:
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    assert len(dashboard_queries()) == sum(len(panel["targets"]) for panel in PANELS)


def test_panels_lie_side_by_side_within_24_columns() -> None:
    places = [panel["gridPos"] for panel in PANELS]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above


# --- a real Prometheus ---


@requires_prometheus
def test_a_real_prometheus_finds_data_for_every_query_and_rule_and_no_reason_to_alert(
    scraped: str, tmp_path: Path
) -> None:
    with running_prometheus(tmp_path, scraped) as url:
        assert_dashboard_has_data(url)
        assert ask(url, "alerts") == {"alerts": []}
        (target,) = ask(url, "targets")["activeTargets"]
        assert (target["health"], target["lastError"]) == ("up", "")


@requires_prometheus
def test_the_check_of_the_dashboard_fails_where_there_is_no_service(tmp_path: Path) -> None:
    with running_prometheus(tmp_path, "127.0.0.1:1") as url, pytest.raises(AssertionError, match=r"Latency \(p95\)"):
        assert_dashboard_has_data(url, timeout_s=0)
