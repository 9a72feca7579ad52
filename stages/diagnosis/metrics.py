"""The golden metrics' part of a diagnosis: Traffic -> what is wrong by the service's own counters, and what is well."""

from __future__ import annotations

from collections.abc import Mapping

from stages.core.words import number, share
from stages.diagnosis.cache import kv_findings, prefix_findings
from stages.diagnosis.finding import Advice, Finding, Weight
from stages.telemetry.health import Zones, queue_zone
from stages.telemetry.readings import duration, listed
from stages.telemetry.telemetry import ratio
from stages.telemetry.traffic import Traffic

# Up to so many requests at once do not wait for each other, but for the documents of one.
ALONE = 1.5
# What to look at, by the reason of a failure.
CURES = {
    "not_ready": "read the log of the replica that does not start, or dies: `serve status` names it",
    "timeout": "send fewer documents in a request, or raise serve.http.deadline_s",
    "engine_error": "read the replicas' log for the first error",
}


def metric_findings(traffic: Traffic, zones: Zones) -> list[Finding]:
    """What is wrong, and as Weight.FINE what was looked at and is well. What a service does not tell is left out."""
    found = _replicas(traffic)
    if traffic.idle:
        words = f"{_span(traffic)} nobody asked: there is nothing to judge."
        return [*found, Finding("metrics", "idle", Weight.NOTE, words)]
    return [
        *found,
        *_failures(traffic, zones),
        *_rejections(traffic, zones),
        *_queue(traffic, zones),
        *prefix_findings(traffic, zones),
        *kv_findings(traffic, zones),
        *_generating(traffic),
    ]


def _replicas(traffic: Traffic) -> list[Finding]:
    if traffic.ready_replicas != 0:
        return []
    words = "No replica is ready: an engine is starting, or it died."
    advice = Advice("run `ray status` and `serve status`, and read the log of the replica", "tells what it waits for")
    return [Finding("metrics", "no_replica", Weight.BROKEN, words, {"ready_replicas": 0.0}, advice)]


def _failures(traffic: Traffic, zones: Zones) -> list[Finding]:
    if traffic.failed_share is None:
        return []
    failures = traffic.failures
    evidence = {"failed_share": traffic.failed_share, **{f"failed_{reason}": n for reason, n in failures.items()}}
    if not failures:
        return [_fine("failures", f"None of {traffic.requests:,.0f} requests failed", evidence)]
    words = (
        f"{sum(failures.values()):,.0f} of {traffic.requests:,.0f} requests failed ({share(traffic.failed_share)}): "
        f"{listed(failures)}."
    )
    weight = Weight.BROKEN if traffic.failed_share > zones.failed_share else Weight.NOTE
    first = max(failures, key=lambda reason: failures[reason])
    advice = Advice(CURES.get(first, CURES["engine_error"]), f"`{first}` is the most frequent reason")
    return [Finding("metrics", "failures", weight, words, evidence, advice)]


def _rejections(traffic: Traffic, zones: Zones) -> list[Finding]:
    """Overload is ours; what callers did wrong is theirs."""
    if not any(traffic.rejected.values()):
        return []
    overload = traffic.overload_share or 0.0
    evidence = {"rejected_share": traffic.rejected_share, "overload_share": overload}
    told = f"{sum(traffic.rejected.values()):,.0f} of {traffic.requests:,.0f} requests were refused: "
    told += listed(traffic.rejected)
    if overload > zones.rejected_share:
        words = f"{told}; more come than the replicas can do."
        return [Finding("metrics", "overload", Weight.LIMIT, words, evidence, _more_replicas(traffic))]
    return [Finding("metrics", "rejected", Weight.NOTE, f"{told}.", evidence)]


def _generating(traffic: Traffic) -> list[Finding]:
    tokens = traffic.generation_tokens
    if tokens is None:
        return []
    if not tokens:
        return [_fine("generating", "No token was generated", {"generation_tokens": tokens})]
    words = f"{tokens:,.0f} tokens were generated: somebody has the engine write text; a reranker only reads."
    advice = Advice(
        "stop the service and check model.family and engine.extra, and who else calls the engine",
        "scores of a model that generates are not to be trusted; without it the engine has its time for reranking",
    )
    return [Finding("metrics", "generating", Weight.BROKEN, words, {"generation_tokens": tokens}, advice)]


def _queue(traffic: Traffic, zones: Zones) -> list[Finding]:
    waits = traffic.queue_s
    zone = queue_zone(waits, zones.queue_p95_s)
    if waits is None or zone is None or (p95 := waits.quantile(0.95)) is None:
        return []
    limit = duration(zones.queue_p95_s)
    evidence = {
        "queue_p95_ms": p95 * 1000,
        "queue_limit_ms": zones.queue_p95_s * 1000,
        "requests_at_once": None if traffic.per_prompt else traffic.in_flight,
        "waiting_prompts": traffic.waiting,
        "running_prompts": traffic.running,
        "ready_replicas": traffic.ready_replicas,
        **{f"{name}_time_share": part for name, part in (traffic.stage_shares or {}).items()},
    }
    if zone == "short":
        return [_fine("queue", f"95 % of queries waited no longer than {duration(p95)} for the engine", evidence)]
    if zone == "unclear":
        words = f"Whether queries wait longer than {limit} cannot be told: the server's first bucket is wider."
        return [Finding("metrics", "queue", Weight.NOTE, words, evidence)]
    return [_long_queue(traffic, f"p95 {duration(p95)}, the limit is {limit}", evidence)]


def _long_queue(traffic: Traffic, told: str, evidence: dict[str, float | None]) -> Finding:
    at_once = evidence["requests_at_once"]
    if at_once is not None and at_once < ALONE:
        # No further replica helps: a request is scored by one.
        words = (
            f"Documents of one request wait for each other ({told}), with {number(at_once)} requests at once and "
            f"{number(traffic.documents_per_request)} documents in each."
        )
        advice = Advice("send a request's documents in several requests at once", "several replicas share them")
        return Finding("metrics", "own_queue", Weight.NOTE, words, evidence, advice)
    several = f", {number(at_once)} requests at once" if at_once is not None else ""
    words = f"The queue is too long for {_count(traffic)}: queries wait for the engine ({told}){several}."
    return Finding("metrics", "queue", Weight.LIMIT, words, evidence, _more_replicas(traffic))


def _more_replicas(traffic: Traffic) -> Advice:
    ready = traffic.ready_replicas
    if not ready:
        return Advice("add a replica", "as many tokens a second more as one reads now")
    rate = ratio(traffic.prompt_tokens_per_s or 0.0, ready)
    each = f", about {number(rate)} tokens/s each" if rate else ""
    return Advice(
        "double the replicas, where the machine has room for them",
        f"twice as many pairs a second{each}, and the queue empties as long as no more is asked than that",
        setting="serve.replicas",
        now=int(ready),
        value=2 * int(ready),
    )


def _count(traffic: Traffic) -> str:
    ready = traffic.ready_replicas
    if not ready:
        return "the engines"
    return "1 replica" if ready == 1 else f"{ready:,.0f} replicas"


def _span(traffic: Traffic) -> str:
    return "Since its start" if traffic.seconds is None else f"In the last {number(traffic.seconds, ' s')}"


def _fine(kind: str, words: str, evidence: Mapping[str, float | None]) -> Finding:
    return Finding("metrics", kind, Weight.FINE, f"{words}.", evidence)
