"""A benchmark <-> the content of benchmark.json. Keys are stable; a value that does not apply is null."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from stages.quality.agreement import Agreement
from stages.speed.arithmetic import Work
from stages.speed.benchmark import Benchmark, Measurement, Pairs, Round, middle


def content(benchmark: Benchmark) -> dict[str, Any]:
    """The content of benchmark.json: the records as they are, with what follows from them under `results`, and the
    tokens that a contender read more beside the figures of its agreement.
    """
    whole = asdict(benchmark)
    for measurement in whole["measurements"]:
        more_tokens = measurement.pop("more_tokens")
        if measurement["agreement"]:
            measurement["agreement"]["tokens"] = more_tokens
    ceiling = benchmark.ceiling
    whole["results"] = {
        "ceiling": ceiling.name if ceiling else None,
        "ceiling_pairs_per_s": ceiling.pairs_per_s if ceiling else None,
        "limit_pairs_per_s": benchmark.limit_pairs_per_s,
        "matrix_flops": middle(benchmark.matrix_flops),
        "contenders": {one.name: _derived(benchmark, one) for one in benchmark.measurements},
    }
    return whole


def from_content(whole: Mapping[str, Any]) -> Benchmark:
    """The benchmark that `content` made this of."""
    told = {name: value for name, value in whole.items() if name != "results"}
    pairs = dict(told["pairs"]) | {name: Work(**told["pairs"][name]) for name in ("alone", "shared", "in_blocks")}
    measurements = tuple(_measurement(one) for one in told["measurements"])
    lists = {name: tuple(told[name]) for name in ("matrix_flops", "notes")}
    return Benchmark(**(told | lists | {"pairs": Pairs(**pairs), "measurements": measurements}))


def _measurement(told: Mapping[str, Any]) -> Measurement:
    rounds = tuple(Round(**one) for one in told["rounds"])
    measurement = dict(told) | {"rounds": rounds}
    if told["agreement"]:
        figures = dict(told["agreement"])
        measurement |= {"more_tokens": figures.pop("tokens"), "agreement": Agreement(**figures)}
    return Measurement(**measurement)


def _derived(benchmark: Benchmark, one: Measurement) -> dict[str, Any]:
    return {
        "pairs_per_s": one.pairs_per_s,
        "spread_pairs_per_s": one.spread,
        "tokens_per_s": one.tokens_per_s,
        "to_ceiling": benchmark.to_ceiling(one),
        "to_ceiling_by_round": benchmark.shares(one),
        "first_pair_by_round": benchmark.first_pair_shares(one),
        "to_limit": benchmark.to_limit(one),
        "start_up_s": one.start_up_s,
        "whole_s": one.whole_s,
        "peak_mib": one.peak_mib,
        "peak_gpu_mib": one.peak_gpu_mib,
        "processor_s_per_1000_pairs": one.processor_s_per_1000,
        "outside_engine_s_per_1000_pairs": one.outside_engine_s_per_1000,
        "same_scores": one.same,
        "error": one.error,
    }
