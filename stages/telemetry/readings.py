"""Traffic -> the golden metrics one by one, each with its health zone and what to do there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stages.core.words import NONE, Tone, number, share
from stages.telemetry.health import Zones, prefixes_shared, queue_zone, template_alone
from stages.telemetry.traffic import Traffic

IDLE_BLOCKS = "this engine counts idle cached blocks as free, so it stays low for reranking; prefix hits tell more"
NOT_TOLD = "not told"


@dataclass(frozen=True, slots=True)
class Reading:
    """One metric: `value` in the unit that `key` names, None where the service does not tell it or nothing happened;
    `text` the same for people; `zone` in a few words; `words` one sentence on what it means and what to do.
    """

    name: str
    value: float | None
    text: str
    tone: Tone
    zone: str
    words: str
    key: str


def duration(seconds: float | None) -> str:
    """Milliseconds below a second."""
    if seconds is None:
        return NONE
    return number(seconds * 1000, " ms") if seconds < 1 else number(seconds, " s")


def listed(counts: Mapping[str, float]) -> str:
    """`timeout 3, engine_error 1`, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{reason} {count:,.0f}" for reason, count in ordered)


def readings(traffic: Traffic, zones: Zones) -> tuple[Reading, ...]:
    """All golden metrics, whether the service tells them or not, always in the same order."""
    return (
        _kv_cache(traffic, zones),
        _prefix_hits(traffic, zones),
        _failures(traffic, zones),
        _rejected(traffic, zones),
        _queue(traffic, zones),
        _request_time(traffic, zones),
        *_load(traffic),
        _generated(traffic),
        _preemptions(traffic),
        _engines(traffic),
        _replicas(traffic),
    )


def _kv_cache(traffic: Traffic, zones: Zones) -> Reading:
    used = traffic.kv_usage
    if used is None:
        return _untold("KV cache", "kv_usage")
    tone: Tone = "good"
    zone, words = "good", f"well used; {IDLE_BLOCKS}"
    if used < zones.kv_barely_used:
        tone, zone, words = "plain", "barely used", IDLE_BLOCKS
    elif used < zones.kv_fine:
        zone, words = "fine", IDLE_BLOCKS
    elif used > zones.kv_thrashing:
        tone, zone = "bad", "thrashing"
        words = "prompts wait for blocks or lose theirs: lower engine.max_num_seqs, or raise engine.kv_cache_gib"
    elif used > zones.kv_nearly_full:
        tone, zone = "unsure", "nearly full"
        words = "watch the preemptions; engine.kv_cache_gib gives it more room"
    return Reading("KV cache", used, share(used), tone, zone, words, "kv_usage")


def _prefix_hits(traffic: Traffic, zones: Zones) -> Reading:
    name, key, rate = "prefix hits", "prefix_hit_rate", traffic.prefix_hit_rate
    if traffic.prefix_queries is None:
        return _untold(name, key)
    if rate is None:
        words = "no prompt was looked up: nobody asked, or there is no prefix cache"
        return Reading(name, None, NONE, "plain", "not used", words, key)
    most = f"; {_sharing(traffic)}" if traffic.shareable is not None else ""
    if rate >= zones.prefix_hit_rate and template_alone(traffic, zones):
        words = f"of the template alone: send a query's documents in one request{most}"
        return Reading(name, rate, share(rate), "unsure", "template alone", words, key)
    if rate >= zones.prefix_hit_rate:
        return Reading(name, rate, share(rate), "good", "used", f"prompt tokens that were not computed{most}", key)
    if prefixes_shared(traffic, zones):
        words = f"prompts share their query, but it is not found: lower engine.block_size{most}"
        return Reading(name, rate, share(rate), "bad", "missed", words, key)
    words = f"little to share: send a query's documents in one request{most}"
    return Reading(name, rate, share(rate), "unsure", "nothing shared", words, key)


def _sharing(traffic: Traffic) -> str:
    return (
        f"{share(traffic.repeat_share, 0)} of queries repeat, {number(traffic.documents_per_request)} documents a "
        f"request: at most {share(traffic.shareable, 0)} of prompts can find their query"
    )


def _failures(traffic: Traffic, zones: Zones) -> Reading:
    name, key, failed = "failures", "failed_share", traffic.failed_share
    if failed is None:
        return Reading(name, None, NONE, "plain", "no request", "no request ended", key)
    text = f"{sum(traffic.failures.values()):,.0f} of {traffic.requests:,.0f}"
    if not failed:
        return Reading(name, failed, text, "good", "none", "callers that went away are not counted", key)
    reasons = f"{listed(traffic.failures)}; the log of the replicas tells more"
    if failed > zones.failed_share:
        return Reading(name, failed, text, "bad", "failing", reasons, key)
    return Reading(name, failed, text, "unsure", "a few", reasons, key)


def _rejected(traffic: Traffic, zones: Zones) -> Reading:
    name, key, rejected = "rejected", "rejected_share", traffic.rejected_share
    if rejected is None:
        return Reading(name, None, NONE, "plain", "no request", "no request ended", key)
    text = f"{sum(traffic.rejected.values()):,.0f} of {traffic.requests:,.0f}"
    if not rejected:
        return Reading(name, rejected, text, "good", "none", "no request was refused", key)
    if (traffic.overload_share or 0) > zones.rejected_share:
        words = f"{listed(traffic.rejected)}: raise serve.replicas, or send less"
        return Reading(name, rejected, text, "bad", "overloaded", words, key)
    words = f"{listed(traffic.rejected)}: tell who sends them; the answers say what is wrong"
    return Reading(name, rejected, text, "plain", "callers' mistakes", words, key)


def _queue(traffic: Traffic, zones: Zones) -> Reading:
    name, key, limit = "queue time p95", "queue_p95_s", duration(zones.queue_p95_s)
    waits = traffic.queue_s
    if waits is None:
        return _untold(name, key)
    p95 = waits.quantile(0.95)
    match queue_zone(waits, zones.queue_p95_s):
        case "short":
            return Reading(name, p95, duration(p95), "good", "short", f"the engines keep up; the limit is {limit}", key)
        case "long":
            words = f"longer than {limit}: raise serve.replicas, or have batch jobs run at another time"
            return Reading(name, p95, duration(p95), "bad", "too long", words, key)
        case "unclear":
            bracket = waits.bracket(0.95)
            text = f"< {duration(bracket.high if bracket else None)}"
            words = f"the histogram's first bucket is wider than the limit of {limit}: give the server finer ones"
            return Reading(name, p95, text, "unsure", "cannot be told", words, key)
    return Reading(name, None, NONE, "plain", "no query", "no query was answered", key)


def _request_time(traffic: Traffic, zones: Zones) -> Reading:
    name = "prompt time" if traffic.per_prompt else "request time"
    key, times, limit = "request_p95_s", traffic.request_s, zones.request_p95_s
    if times is None:
        return _untold(name, key)
    p50, p95, p99 = (times.quantile(part) for part in (0.5, 0.95, 0.99))
    if p95 is None:
        return Reading(name, None, NONE, "plain", "no request", "no request was answered", key)
    text = f"{duration(p50)}, p95 {duration(p95)}, p99 {duration(p99)}"
    if limit is None:
        words = "median first; of answered ones alone. health.request_p95_s sets a limit of your own"
        return Reading(name, p95, text, "plain", "", words, key)
    slow = p95 > limit
    words = f"your limit for p95 is {duration(limit)}"
    return Reading(name, p95, text, "bad" if slow else "good", "slow" if slow else "within the limit", words, key)


def _load(traffic: Traffic) -> tuple[Reading, ...]:
    def rate(name: str, key: str, count: float | None, words: str) -> Reading:
        if count is None:
            return _untold(name, key)
        per_s = traffic.per_s(count)
        text = f"{count:,.0f} in all" if per_s is None else number(per_s, "/s")
        return Reading(name, per_s, text, "plain", "", words, key)

    many = traffic.documents_per_request
    words = "many in a request share one query's prefix"
    told = Reading("documents a request", many, number(many), "plain", "", words, "documents_per_request")
    return (
        rate("prompts" if traffic.per_prompt else "requests", "requests_per_s", traffic.answered, "answered ones"),
        rate("pairs", "pairs_per_s", traffic.pairs, "documents of answered requests"),
        told if traffic.documents else _untold(told.name, told.key),
        rate("prompt tokens", "prompt_tokens_per_s", traffic.prompt_tokens, "what the engines read"),
    )


def _generated(traffic: Traffic) -> Reading:
    words = "somebody generates text instead of reranking: check model.family, engine.extra and who calls the engine"
    tokens = traffic.generation_tokens
    return _to_be_none("generated tokens", "generation_tokens", tokens, "a reranker only reads", "generating", words)


def _preemptions(traffic: Traffic) -> Reading:
    words = "prompts were thrown out and computed anew: lower engine.max_num_seqs, or raise engine.kv_cache_gib"
    well = "no prompt lost its place in the cache"
    return _to_be_none("preemptions", "preemptions", traffic.preemptions, well, "thrashing", words)


def _to_be_none(name: str, key: str, count: float | None, well: str, zone: str, words: str) -> Reading:
    """Of what must not happen: `well` where it did not, else `zone` and `words`."""
    if count is None:
        return _untold(name, key)
    if not count:
        return Reading(name, count, "0", "good", "none", well, key)
    return Reading(name, count, f"{count:,.0f}", "bad", zone, words, key)


def _engines(traffic: Traffic) -> Reading:
    name, key, waiting = "waiting prompts", "waiting", traffic.waiting
    if waiting is None:
        return _untold(name, key)
    text = f"{waiting:,.0f}, {traffic.running or 0:,.0f} running"
    zone = "queued" if waiting else "none"
    return Reading(name, waiting, text, "plain", zone, "at this moment, in all engines; it is the queue's length", key)


def _replicas(traffic: Traffic) -> Reading:
    name, key, ready = "ready replicas", "ready_replicas", traffic.ready_replicas
    if ready is None:
        return _untold(name, key)
    if ready:
        return Reading(name, ready, f"{ready:,.0f}", "good", "ready", "replicas whose engine answers", key)
    words = "no engine answers: one is starting, or it died; `ray status` and the log of the replica tell why"
    return Reading(name, ready, "0", "bad", "none ready", words, key)


def _untold(name: str, key: str) -> Reading:
    return Reading(name, None, NONE, "plain", NOT_TOLD, "this service does not tell it", key)
