"""GET /metrics of a service -> what it did between two looks (`stages.telemetry.traffic.Traffic`).

Understood are our own names (`serve_app/http/metrics.py`), those of vLLM's own server, and both as Ray's exporter
writes them: `ray_` before the name, `_` for `:`. Counters are added over replicas.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TypeAlias

from prometheus_client.parser import text_string_to_metric_families

from pipelines.service.target import Target
from stages.core.errors import EngineError
from stages.telemetry.histogram import Histogram
from stages.telemetry.traffic import NO_FAILURE, Traffic

# Name, and labels in order of their names.
Series: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]

OURS, ENGINE = "rerank_", "vllm:"
# vLLM counts no failures, but says how each prompt ended. A repetition ends a text that was generated.
ENDS = {"stop": "ok", "length": "ok", "repetition": "ok", "abort": NO_FAILURE, "error": "engine_error"}
NUMBERS = frozenset(
    {
        "rerank_requests_total",
        "rerank_queries_total",
        "rerank_query_repeats_total",
        "rerank_ready_replicas",
        "vllm:request_success_total",
        "vllm:admission_rejections_total",
        "vllm:prompt_tokens_total",
        "vllm:generation_tokens_total",
        "vllm:prefix_cache_queries_total",
        "vllm:prefix_cache_hits_total",
        "vllm:num_preemptions_total",
        "vllm:kv_cache_usage_perc",
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
    }
)
# Labels without which a number cannot be told apart from others.
LABELS = {
    "rerank_requests_total": ("outcome", "reason"),
    "vllm:request_success_total": ("finished_reason",),
    "vllm:admission_rejections_total": ("reason",),
}
HISTOGRAMS = frozenset(
    {
        "rerank_request_seconds",
        "rerank_queue_seconds",
        "rerank_tokenize_seconds",
        "rerank_engine_seconds",
        "rerank_documents_per_request",
        "rerank_prompt_tokens_per_request",
        "vllm:e2e_request_latency_seconds",
        "vllm:request_queue_time_seconds",
        "vllm:request_prompt_tokens",
    }
)


@dataclass(frozen=True, slots=True)
class Look:
    """The counters and gauges of all processes at one moment; `at_s` is on a clock that never jumps."""

    at_s: float
    numbers: Mapping[Series, float]
    histograms: Mapping[Series, Histogram]

    def knows(self, start: str) -> bool:
        """Whether any metric's name starts so."""
        return any(name.startswith(start) for name, _ in (*self.numbers, *self.histograms))

    def values(self, name: str) -> list[float]:
        return [value for (known, _), value in self.numbers.items() if known == name]


def look_at(target: Target) -> Look:
    """Raises EngineError where nobody answers, or the answer is not that of a reranker."""
    text = target.metrics_text()
    try:
        return read_look(text, time.monotonic())
    except EngineError as error:
        raise EngineError(f"{target.url}/metrics: {error}") from error


def read_look(text: str, at_s: float) -> Look:
    """Prometheus text -> Look. Raises EngineError for what is none, or tells of no reranker and no vLLM."""
    numbers: dict[Series, float] = {}
    parts: defaultdict[Series, dict[str, float]] = defaultdict(dict)
    try:
        for name, labels, value in _samples(text):
            base, _, part = name.rpartition("_")
            if name in NUMBERS:
                numbers[_series(name, labels)] = value
            elif base in HISTOGRAMS and part in ("bucket", "sum", "count"):
                bound = labels.pop("le") if part == "bucket" else part
                parts[_series(base, labels)][bound] = value
        histograms = {series: _histogram(given) for series, given in parts.items() if "sum" in given}
    except (ValueError, KeyError, IndexError) as error:
        raise EngineError(f"no Prometheus text that can be read ({error!r:.100}); give a service's address") from error
    look = Look(at_s, numbers, histograms)
    if not (look.knows(OURS) or look.knows(ENGINE)):
        raise EngineError("no metric of a reranker (rerank_...) or of vLLM (vllm:...): give the address of one")
    return look


def between(before: Look, after: Look) -> Traffic:
    """What happened from one look to the other. A counter that fell, or is new, belongs to a process that started
    meanwhile and counts from zero, as in PromQL's rate. Where the first look saw no engine at all, what engines
    counted meanwhile is not known.
    """
    return _Change(before, after).traffic(after.at_s - before.at_s)


def since_start(look: Look) -> Traffic:
    """All that the processes counted so far; when they started is not known."""
    return _Change(None, look).traffic(None)


class _Change:
    """Two looks, and how much each metric grew from one to the other."""

    def __init__(self, before: Look | None, after: Look) -> None:
        self._after = after
        self._known = {start for start in (OURS, ENGINE) if before is None or before.knows(start)}
        self._numbers = before.numbers if before else {}
        self._histograms = before.histograms if before else {}

    def traffic(self, seconds: float | None) -> Traffic:
        after = self._after
        bare = not after.values("rerank_requests_total")
        ends = self._bare_ends() if bare else self._ends()
        return Traffic(
            seconds,
            answered=sum(ends.pop("ok", {}).values()),
            **ends,
            request_s=self.spread("vllm:e2e_request_latency_seconds" if bare else "rerank_request_seconds"),
            queue_s=self._queue(),
            tokenize_s=self.spread("rerank_tokenize_seconds"),
            engine_s=self.spread("rerank_engine_seconds"),
            documents=self.spread("rerank_documents_per_request"),
            prompt_tokens_per_request=self.spread(
                "vllm:request_prompt_tokens" if bare else "rerank_prompt_tokens_per_request"
            ),
            queries=self.total("rerank_queries_total"),
            repeats=self.total("rerank_query_repeats_total"),
            prompt_tokens=self.total("vllm:prompt_tokens_total"),
            generation_tokens=self.total("vllm:generation_tokens_total"),
            prefix_queries=self.total("vllm:prefix_cache_queries_total"),
            prefix_hits=self.total("vllm:prefix_cache_hits_total"),
            preemptions=self.total("vllm:num_preemptions_total"),
            kv_usage=max(after.values("vllm:kv_cache_usage_perc"), default=None),
            running=_added(after.values("vllm:num_requests_running")),
            waiting=_added(after.values("vllm:num_requests_waiting")),
            # Every process of the service sees the same engines.
            ready_replicas=max(after.values("rerank_ready_replicas"), default=None),
            replicas=len(after.values("vllm:num_requests_running")),
            per_prompt=bare,
        )

    def _ends(self) -> dict[str, dict[str, float]]:
        """Outcome -> reason -> requests that ended so."""
        ends: dict[str, dict[str, float]] = {"ok": {}, "rejected": {}, "failed": {}}
        for labels, count in self.grown("rerank_requests_total"):
            reasons = ends.get(labels["outcome"], ends["failed"])
            reasons[labels["reason"]] = reasons.get(labels["reason"], 0.0) + count
        return ends

    def _bare_ends(self) -> dict[str, dict[str, float]]:
        """The same of a vLLM server's prompts."""
        ends: dict[str, dict[str, float]] = {"ok": {}, "rejected": {}, "failed": {}}
        for labels, count in self.grown("vllm:request_success_total"):
            reason = ENDS.get(labels["finished_reason"], labels["finished_reason"])
            reasons = ends["ok" if reason == "ok" else "failed"]
            reasons[reason] = reasons.get(reason, 0.0) + count
        for labels, count in self.grown("vllm:admission_rejections_total"):
            reasons = ends["rejected"]
            reasons[labels["reason"]] = reasons.get(labels["reason"], 0.0) + count
        return ends

    def _queue(self) -> Histogram | None:
        """A query's wait by our own count; vLLM's of single prompts where only jobs, which pass the API by, work."""
        ours = self.spread("rerank_queue_seconds")
        return ours if ours is not None and ours.count else self.spread("vllm:request_queue_time_seconds") or ours

    def grown(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """The labels and growth of each series of a counter that grew."""
        for series, now in self._after.numbers.items():
            if series[0] == name and name.startswith(tuple(self._known)):
                was = self._numbers.get(series, 0.0)
                if grown := now - was if now >= was else now:
                    yield dict(series[1]), grown

    def total(self, name: str) -> float | None:
        if not (self._after.values(name) and name.startswith(tuple(self._known))):
            return None
        return sum(count for _, count in self.grown(name))

    def spread(self, name: str) -> Histogram | None:
        """A histogram's new observations, of all series."""
        grown = [
            now - was if (was := self._histograms.get(series)) and now.count >= was.count else now
            for series, now in self._after.histograms.items()
            if series[0] == name and name.startswith(tuple(self._known))
        ]
        return reduce(add, grown) if grown else None


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Each finite number under its own name, whoever exported it."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            name = sample.name.removeprefix("ray_")
            if name.startswith("vllm_"):
                name = ENGINE + name.removeprefix("vllm_")
            if math.isfinite(sample.value):
                yield name, dict(sample.labels), sample.value


def _series(name: str, labels: dict[str, str]) -> Series:
    if missing := [label for label in LABELS.get(name, ()) if label not in labels]:
        raise ValueError(f"{name} without the label {missing[0]}")
    return name, tuple(sorted(labels.items()))


def _histogram(parts: dict[str, float]) -> Histogram:
    """`le` -> cumulative count, with `sum`. Raises KeyError where there is no total."""
    bounds = {float(bound): count for bound, count in parts.items() if bound not in ("sum", "count")}
    if math.inf not in bounds:
        bounds[math.inf] = parts["count"]
    ordered = sorted(bounds)
    return Histogram(tuple(ordered), tuple(bounds[bound] for bound in ordered), parts["sum"])


def _added(values: list[float]) -> float | None:
    return sum(values) if values else None
