"""What the service counts of itself: under the agreed names, from zero on, within bounded memory."""

from __future__ import annotations

from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from serve_app.http import metrics
from serve_app.http.metrics import REASONS, TIME_BOUNDS_S, ServiceMetrics


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_the_names_and_labels_are_the_agreed_ones(registry: CollectorRegistry) -> None:
    ServiceMetrics(registry)
    labels = {
        sample.name: tuple(label for label in sample.labels if label != "le")
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith(("_created", "_sum", "_count"))
    }
    assert labels == {
        "rerank_requests_total": ("endpoint", "outcome", "reason"),
        "rerank_request_seconds_bucket": ("endpoint",),
        "rerank_queue_seconds_bucket": (),
        "rerank_tokenize_seconds_bucket": (),
        "rerank_engine_seconds_bucket": (),
        "rerank_documents_per_request_bucket": (),
        "rerank_prompt_tokens_per_request_bucket": (),
        "rerank_queries_total": (),
        "rerank_query_repeats_total": (),
        "rerank_ready_replicas": (),
    }


def test_time_is_told_apart_from_a_millisecond_to_a_minute_and_at_the_alerts_limit() -> None:
    assert TIME_BOUNDS_S[0] == 0.001
    assert TIME_BOUNDS_S[-1] == 60
    assert 0.2 in TIME_BOUNDS_S


def test_every_way_a_request_can_end_is_there_at_zero_so_that_the_first_one_shows_in_a_rate(
    registry: CollectorRegistry,
) -> None:
    ServiceMetrics(registry)
    for endpoint in ("rerank", "score"):
        assert value(registry, "rerank_request_seconds_count", endpoint=endpoint) == 0
        for outcome, reasons in REASONS.items():
            for reason in reasons:
                labels = {"endpoint": endpoint, "outcome": outcome, "reason": reason}
                assert value(registry, "rerank_requests_total", **labels) == 0


def test_an_answered_request_counts_with_its_time_and_size(registry: CollectorRegistry) -> None:
    ServiceMetrics(registry).request_done("rerank", "ok", "none", 0.15, documents=20, prompt_tokens=3_000)
    assert value(registry, "rerank_requests_total", endpoint="rerank", outcome="ok", reason="none") == 1
    assert value(registry, "rerank_request_seconds_bucket", endpoint="rerank", le="0.1") == 0
    assert value(registry, "rerank_request_seconds_bucket", endpoint="rerank", le="0.2") == 1
    assert value(registry, "rerank_request_seconds_count", endpoint="score") == 0
    assert value(registry, "rerank_documents_per_request_sum") == 20
    assert value(registry, "rerank_prompt_tokens_per_request_sum") == 3_000


@pytest.mark.parametrize(("outcome", "reason"), [("rejected", "overload"), ("failed", "timeout")])
def test_a_request_without_an_answer_counts_but_does_not_change_times_and_sizes(
    registry: CollectorRegistry, outcome: metrics.EndKind, reason: metrics.Reason
) -> None:
    ServiceMetrics(registry).request_done("score", outcome, reason, 0.001, documents=5, prompt_tokens=0)
    assert value(registry, "rerank_requests_total", endpoint="score", outcome=outcome, reason=reason) == 1
    assert value(registry, "rerank_request_seconds_count", endpoint="score") == 0
    assert value(registry, "rerank_documents_per_request_count") == 0
    assert value(registry, "rerank_prompt_tokens_per_request_count") == 0


def test_each_stage_has_its_own_histogram(registry: CollectorRegistry) -> None:
    ServiceMetrics(registry).stages(queue_s=0.5, tokenize_s=0.25, engine_s=2.0)
    sums = [value(registry, f"rerank_{stage}_seconds_sum") for stage in ("queue", "tokenize", "engine")]
    assert sums == [0.5, 0.25, 2.0]


def test_ready_replicas_are_none_until_it_is_said_and_then_what_was_said_last(registry: CollectorRegistry) -> None:
    service = ServiceMetrics(registry)
    assert value(registry, "rerank_ready_replicas") == 0
    service.ready_replicas(3)
    service.ready_replicas(2)
    assert value(registry, "rerank_ready_replicas") == 2


@given(st.lists(st.integers(0, 6).map(str), max_size=40))
def test_a_query_repeats_when_it_is_among_the_last_different_ones(queries: list[str]) -> None:
    registry, last, repeats = CollectorRegistry(), list[str](), 0
    with mock.patch.object(metrics, "REMEMBERED_QUERIES", 3):
        service = ServiceMetrics(registry)
        for query in queries:
            service.query_seen(query)
            repeats += query in last
            last = [*(other for other in last if other != query), query][-3:]
    assert value(registry, "rerank_queries_total") == len(queries)
    assert value(registry, "rerank_query_repeats_total") == repeats


def test_4096_queries_are_remembered_and_no_more(registry: CollectorRegistry) -> None:
    service = ServiceMetrics(registry)
    for number in range(4097):
        service.query_seen(f"query {number}")
    service.query_seen("query 1")
    assert value(registry, "rerank_query_repeats_total") == 1
    service.query_seen("query 0")
    assert value(registry, "rerank_query_repeats_total") == 1


def test_two_registries_count_apart() -> None:
    one, other = CollectorRegistry(), CollectorRegistry()
    ServiceMetrics(one).query_seen("q")
    ServiceMetrics(other)
    assert value(one, "rerank_queries_total") == 1
    assert value(other, "rerank_queries_total") == 0
