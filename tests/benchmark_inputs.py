"""A benchmark of made-up figures, for what is told of one."""

from __future__ import annotations

from typing import Any

from stages.quality.agreement import Agreement
from stages.speed.arithmetic import Work
from stages.speed.benchmark import MOST_DIFFERENCE, Benchmark, Kind, Measurement, Pairs, Round


def agreement_of(largest: float, mean: float, rank_correlation: float | None) -> Agreement:
    """An agreement over 1,000 pairs, of which these figures matter."""
    beyond = int(largest > MOST_DIFFERENCE)
    return Agreement(1_000, beyond, largest, mean, mean, mean, 0.0, rank_correlation=rank_correlation)


SAME = agreement_of(largest=0.004, mean=0.001, rank_correlation=0.999)
OTHER = agreement_of(largest=0.4, mean=0.1, rank_correlation=0.2)
# 1,000 pairs whose operations a machine of 1 TFLOP/s does at 500 pairs/s when beginnings are shared.
PAIRS = Pairs(
    queries=20,
    documents=50,
    tokens=220_000,
    shortest=100,
    longest=400,
    repeats=0.0,
    alone=Work(220_000, 4e12),
    shared=Work(110_000, 2e12),
    in_blocks=Work(120_000, 2.2e12),
)


def a_round(seconds: float, number: int = 1, **more: Any) -> Round:
    told: dict[str, Any] = {"start_up_s": 30.0, "whole_s": 40.0, "peak_mib": 2_000.0}
    return Round(number, 1_000, 220_000, seconds, **(told | more))


def contender(name: str, kind: Kind, *seconds: float, ours: bool = True, **more: Any) -> Measurement:
    rounds = tuple(a_round(one, number) for number, one in enumerate(seconds, start=1))
    return Measurement(name, f"title of {name}", kind, ours, **({"rounds": rounds, "agreement": SAME} | more))


def benchmark(*measurements: Measurement, **more: Any) -> Benchmark:
    told: dict[str, Any] = {
        "started": "2026-01-02T03:04:05+00:00",
        "model": {"name": "tiny", "family": "qwen3-reranker"},
        "machine": {"device": "cpu", "processor": "a processor", "cores": 2},
        "settings": {"ours": {}, "defaults": {}},
        "pairs": PAIRS,
        "prefix_caching": True,
        "matrix_flops": (1e12,),
        "measurements": measurements,
        "reference": "engine-ours",
    }
    return Benchmark(**(told | more))
