"""The service's own Prometheus metrics: how requests end, how long they take, how large they are.

A registry belongs to one process. Every series that can be known beforehand is there from the start, at zero: `rate()`
does not see the first increment of a series that appears with it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal, TypeAlias, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Endpoint: TypeAlias = Literal["rerank", "score"]
EndKind: TypeAlias = Literal["ok", "rejected", "failed"]
Reason: TypeAlias = Literal[
    "none",
    "bad_request",
    "unauthorized",
    "unknown_model",
    "too_large",
    "too_long",
    "slow_body",
    "overload",
    "not_ready",
    "client_gone",
    "timeout",
    "engine_error",
]

REASONS: dict[EndKind, tuple[Reason, ...]] = {
    "ok": ("none",),
    "rejected": ("bad_request", "unauthorized", "unknown_model", "too_large", "too_long", "slow_body", "overload"),
    "failed": ("not_ready", "client_gone", "timeout", "engine_error"),
}
# The alert on the queue asks for 0.2 s, so that is a bound: percentiles are exact at bounds.
TIME_BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60)
DOCUMENT_BOUNDS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
TOKEN_BOUNDS = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
REMEMBERED_QUERIES = 4096


class ServiceMetrics:
    """What one API process counts, in `registry`. Not for several threads: `query_seen` keeps state."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def times(stage: str, text: str, labels: tuple[str, ...] = ()) -> Histogram:
            return Histogram(f"rerank_{stage}_seconds", text, labels, buckets=TIME_BOUNDS_S, registry=registry)

        def sizes(what: str, text: str, bounds: tuple[int, ...]) -> Histogram:
            return Histogram(f"rerank_{what}_per_request", text, buckets=bounds, registry=registry)

        self._requests = Counter(
            "rerank_requests_total",
            "Requests that ended, by how and why.",
            ("endpoint", "outcome", "reason"),
            registry=registry,
        )
        self._seconds = times("request", "Time from a request's arrival to its answer; answered only.", ("endpoint",))
        self._documents = sizes("documents", "Documents in an answered request.", DOCUMENT_BOUNDS)
        self._prompt_tokens = sizes("prompt_tokens", "Prompt tokens of an answered request.", TOKEN_BOUNDS)
        self._queue = times("queue", "Time that a query's prompts waited in a replica.")
        self._tokenize = times("tokenize", "Time to make a query's prompts.")
        self._engine = times("engine", "Time in which the engine scored a query's prompts.")
        self._queries = Counter("rerank_queries_total", "Queries that were asked.", registry=registry)
        self._repeats = Counter(
            "rerank_query_repeats_total",
            f"Queries that were among the last {REMEMBERED_QUERIES} different ones.",
            registry=registry,
        )
        self._ready = Gauge("rerank_ready_replicas", "Replicas whose engine answers.", registry=registry)
        self._recent: OrderedDict[int, None] = OrderedDict()
        self._start_at_zero()

    def request_done(
        self,
        endpoint: Endpoint,
        outcome: EndKind,
        reason: Reason,
        seconds: float,
        documents: int,
        prompt_tokens: int,
    ) -> None:
        """Count a request that ended. Time and size are observed of answered requests alone: refusals are quick, and
        would make an overloaded service look fast.
        """
        self._requests.labels(endpoint, outcome, reason).inc()
        if outcome == "ok":
            self._seconds.labels(endpoint).observe(seconds)
            self._documents.observe(documents)
            self._prompt_tokens.observe(prompt_tokens)

    def stages(self, queue_s: float, tokenize_s: float, engine_s: float) -> None:
        """Observe where one query's time went."""
        self._queue.observe(queue_s)
        self._tokenize.observe(tokenize_s)
        self._engine.observe(engine_s)

    def query_seen(self, query: str) -> None:
        """Count a query, and whether it is among the last different ones: then its prefix should be cached."""
        self._queries.inc()
        key = hash(query)
        if key in self._recent:
            self._repeats.inc()
        self._recent[key] = None
        self._recent.move_to_end(key)
        if len(self._recent) > REMEMBERED_QUERIES:
            self._recent.popitem(last=False)

    def ready_replicas(self, count: int) -> None:
        """Say how many replicas answer now."""
        self._ready.set(count)

    def _start_at_zero(self) -> None:
        for endpoint in get_args(Endpoint):
            self._seconds.labels(endpoint)
            for outcome, reasons in REASONS.items():
                for reason in reasons:
                    self._requests.labels(endpoint, outcome, reason)
