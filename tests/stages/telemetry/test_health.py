"""Zones are those of the alerts, and what the buckets cannot tell is not judged."""

from __future__ import annotations

import math

import pytest

from stages.core.errors import ConfigError
from stages.telemetry.health import Zones, prefixes_shared, queue_zone, template_alone
from stages.telemetry.histogram import Histogram
from stages.telemetry.traffic import Traffic
from tests.monitoring import RULES

ALERTS = {rule["alert"]: rule["expr"] for rule in RULES if "alert" in rule}
OUR_BOUNDS = (0.1, 0.2, 0.5, 1.0, math.inf)
VLLM_BOUNDS = (0.3, 0.5, math.inf)


def waits(bounds: tuple[float, ...], *values: float) -> Histogram:
    return Histogram(bounds, tuple(float(sum(v <= bound for v in values)) for bound in bounds), sum(values))


def test_the_limits_are_those_of_the_alerts() -> None:
    zones = Zones()
    assert ALERTS["RerankQueueSlow"] == f"rerank:queue_seconds:p95_5m > {zones.queue_p95_s:g}"
    assert ALERTS["RerankKvCacheFull"] == f"max by (replica) (vllm:kv_cache_usage_perc) > {zones.kv_thrashing:g}"
    assert ALERTS["RerankPrefixCacheMisses"] == (
        f"rerank:prefix_hits:ratio_rate5m < {zones.prefix_hit_rate:g} "
        f"and rerank:query_repeats:ratio_rate5m > {zones.repeat_share:g}"
    )
    assert ALERTS["RerankTokensGenerated"] == "rerank:generated_tokens:increase5m > 0"
    assert ALERTS["RerankNoReadyReplica"] == "rerank:ready_replicas:max == 0"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"kv_fine": 0.4}, "must ascend"),
        ({"kv_thrashing": 1.5}, "health.kv_thrashing: 1.5 is no share"),
        ({"failed_share": -0.1}, "health.failed_share: -0.1 is no share"),
        ({"failed_share": math.nan}, "health.failed_share: nan is no share"),
        ({"queue_p95_s": 0}, "health.queue_p95_s: 0 is no limit"),
        ({"request_p95_s": math.inf}, "health.request_p95_s: inf is no limit"),
    ],
)
def test_zones_that_make_no_sense_are_refused(changed: dict[str, float], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Zones(**changed)


@pytest.mark.parametrize(
    ("spread", "zone"),
    [
        (None, None),
        (waits(OUR_BOUNDS), None),
        (waits(OUR_BOUNDS, *[0.15] * 100), "short"),
        (waits(OUR_BOUNDS, *[0.01] * 94, *[0.3] * 6), "long"),
        (waits(OUR_BOUNDS, *[0.01] * 95, *[0.3] * 5), "short"),
        (waits(OUR_BOUNDS, *[5.0] * 10), "long"),
        # Everything lies below vLLM's first bound: whether below 0.2 s, only a small mean can tell.
        (waits(VLLM_BOUNDS, *[0.1] * 100), "unclear"),
        (waits(VLLM_BOUNDS, *[0.005] * 100), "short"),
        (waits(VLLM_BOUNDS, *[0.4] * 100), "long"),
    ],
)
def test_the_queue_is_judged_where_its_buckets_tell(spread: Histogram | None, zone: str | None) -> None:
    assert queue_zone(spread, 0.2) == zone


def test_a_limit_between_two_bounds_is_compared_with_the_interpolated_percentile() -> None:
    spread = waits(OUR_BOUNDS, *[0.3] * 100)  # p95 is told as 0.485 s
    assert queue_zone(spread, 0.4) == "long"
    assert queue_zone(spread, 0.49) == "short"


@pytest.mark.parametrize(
    ("repeats", "documents", "shared"), [(0, 2, False), (30, 2, True), (0, 20, True), (20, 5, False)]
)
def test_prompts_share_their_beginning_when_queries_repeat_or_have_many_documents(
    repeats: int, documents: float, shared: bool
) -> None:
    sizes = Histogram((math.inf,), (100.0,), 100.0 * documents)
    traffic = Traffic(10.0, answered=100, documents=sizes, queries=100, repeats=repeats)
    assert prefixes_shared(traffic, Zones()) is shared


@pytest.mark.parametrize(
    ("repeats", "documents", "alone"), [(0, 1, True), (30, 1, False), (0, 3, False), (0, 20, False)]
)
def test_single_documents_of_queries_that_do_not_repeat_share_the_template_alone(
    repeats: int, documents: float, alone: bool
) -> None:
    sizes = Histogram((math.inf,), (100.0,), 100.0 * documents)
    traffic = Traffic(10.0, answered=100, documents=sizes, queries=100, repeats=repeats)
    assert template_alone(traffic, Zones()) is alone


def test_a_server_that_tells_nothing_of_its_requests_shares_nothing_that_is_known() -> None:
    assert not prefixes_shared(Traffic(10.0), Zones())
    assert not template_alone(Traffic(10.0), Zones())
