"""Traffic of a healthy service, for tests of what is told about one."""

from __future__ import annotations

import math

from stages.telemetry.histogram import Histogram
from stages.telemetry.traffic import Traffic


def spread(value: float, count: int = 100) -> Histogram:
    bounds = (0.1, 0.2, 0.5, 1.0, 10.0, math.inf)
    return Histogram(bounds, tuple(float(count * (value <= bound)) for bound in bounds), value * count)


def sizes(documents: float) -> Histogram:
    return Histogram((math.inf,), (100.0,), 100 * documents)


WELL = Traffic(
    10.0,
    answered=100,
    request_s=spread(0.3),
    queue_s=spread(0.05),
    tokenize_s=spread(0.01),
    engine_s=spread(0.24),
    documents=sizes(20),
    queries=100,
    repeats=0,
    prompt_tokens=200_000,
    generation_tokens=0,
    prefix_queries=200_000,
    prefix_hits=60_000,
    preemptions=0,
    kv_usage=0.1,
    running=8,
    waiting=0,
    ready_replicas=2,
    replicas=2,
)
