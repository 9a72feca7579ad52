"""Step 2: what do requests look like? A named pattern, and the settings that it wants beside those that are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stages.diagnosis.finding import Advice, Finding, Weight
from stages.telemetry.histogram import Histogram
from stages.telemetry.traffic import Traffic

# Documents in a request: somebody waits for few, many are a batch's.
FEW, MANY = 10, 50
# A pattern is mixed where each kind has at least so many of the requests.
MIXED_SHARE = 0.2
THROUGHPUT, LATENCY, MIXED = "1 query, 100 passages", "1 query, 3 passages", "few and many passages mixed"
# A request that arrives behind a step waits for its end; longer steps are felt by people (Nielsen 1993: 0.1 s).
STEP_S = 0.1
SMALLEST_STEP = 2048  # tokens; below it a step's fixed cost outweighs its work
BATCH_STEP, BATCH_PROMPTS = 8192, 64


@dataclass(frozen=True, slots=True)
class Wish:
    """A setting that a pattern wants: `fits` is None where the setting's value is not known."""

    setting: str
    wanted: Any
    now: Any
    fits: bool | None
    why: str


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of a stretch of time. Shares are 0 to 1; None where the service does not tell."""

    pattern: str | None
    per_s: float | None
    documents_mean: float | None
    few_share: float | None
    many_share: float | None
    tokens_per_pair: float | None
    repeat_share: float | None
    wishes: tuple[Wish, ...] = ()


def describe_requests(traffic: Traffic, settings: Mapping[str, Any]) -> Requests:
    """`settings` are keys of the config, as `engine.compile`, with their values, as far as they are known."""
    documents = traffic.documents
    few = share_up_to(documents, FEW) if documents else None
    below_many = share_up_to(documents, MANY - 1) if documents else None
    many = None if below_many is None else 1 - below_many
    pattern = _pattern(documents, few, many)
    return Requests(
        pattern=pattern,
        per_s=traffic.requests_per_s,
        documents_mean=traffic.documents_per_request,
        few_share=few,
        many_share=many,
        tokens_per_pair=traffic.tokens_per_pair,
        repeat_share=traffic.repeat_share,
        wishes=tuple(_wishes(pattern, settings, traffic)),
    )


def request_findings(seen: Requests) -> list[Finding]:
    """One finding: the pattern, and the first setting that does not suit it."""
    if seen.pattern is None:
        return [Finding("requests", "no_requests", Weight.NOTE, "No request was seen, so none can be described.")]
    evidence = {
        "requests_per_s": seen.per_s,
        "documents_per_request": seen.documents_mean,
        "tokens_per_pair": seen.tokens_per_pair,
        "repeated_query_share": seen.repeat_share,
        "up_to_10_documents_share": seen.few_share,
        "from_50_documents_share": seen.many_share,
    }
    wrong = [wish for wish in seen.wishes if wish.fits is False]
    if not wrong:
        known = any(wish.fits for wish in seen.wishes)
        suits = "its settings suit it" if known else "its settings are not known: give --config"
        return [Finding("requests", "pattern", Weight.FINE, f"{_told(seen)}; {suits}.", evidence)]
    first = wrong[0]
    advice = Advice(
        action=f"set {first.setting} to {as_yaml(first.wanted)}",
        effect=first.why,
        setting=first.setting,
        now=first.now,
        value=as_yaml(first.wanted),
    )
    words = f"{_told(seen)}, and {first.setting} is {as_yaml(first.now)}: {first.why}."
    return [Finding("requests", "settings_of_pattern", Weight.COST, words, evidence, advice)]


def share_up_to(observed: Histogram, value: float) -> float | None:
    """Share of the observations up to `value`, linear within a bucket; None where there is none."""
    if not observed.count:
        return None
    low, below = 0.0, 0.0
    for bound, count in zip(observed.bounds, observed.counts, strict=True):
        if value < bound:
            inside = (value - low) / (bound - low) if bound != float("inf") else 0.0
            return (below + (count - below) * inside) / observed.count
        low, below = bound, count
    return 1.0


def as_yaml(value: Any) -> str:
    """A setting's value as YAML writes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _pattern(documents: Histogram | None, few: float | None, many: float | None) -> str | None:
    if documents is None or few is None or many is None:
        return None
    if few >= MIXED_SHARE and many >= MIXED_SHARE:
        return MIXED
    # By pairs, not by requests, a large request counts for more: it is what the engine works on.
    return LATENCY if (documents.mean or 0) <= FEW else THROUGHPUT


def _told(seen: Requests) -> str:
    parts = [f"Requests are of the kind “{seen.pattern}”: {seen.documents_mean:.1f} documents on average"]
    if seen.tokens_per_pair is not None:
        parts.append(f"{seen.tokens_per_pair:.0f} tokens a pair")
    if seen.repeat_share is not None:
        parts.append(f"{seen.repeat_share:.0%} repeat a query")
    if seen.per_s is not None:
        parts.append(f"{seen.per_s:.2g} requests a second")
    return ", ".join(parts)


def _wishes(pattern: str | None, settings: Mapping[str, Any], traffic: Traffic) -> list[Wish]:
    if pattern is None:
        return []
    both = [
        _wish(settings, "engine.compile", True, lambda now: now is True, "compiled steps take less time"),
        _wish(
            settings,
            "engine.prefix_caching",
            True,
            lambda now: now is True,
            "a query's part of the prompt is computed once, not for each document",
        ),
    ]
    if pattern == THROUGHPUT:
        return [*both, *_of_throughput(settings)]
    return [*both, *_of_latency(settings, traffic)]


def _of_throughput(settings: Mapping[str, Any]) -> list[Wish]:
    return [
        _wish(
            settings,
            "engine.max_num_batched_tokens",
            None,
            lambda now: now is None or now >= BATCH_STEP,
            "large steps keep the device busy",
        ),
        _wish(
            settings,
            "engine.max_num_seqs",
            None,
            lambda now: now is None or now >= BATCH_PROMPTS,
            "a step takes a whole request's documents",
        ),
        _wish(
            settings,
            "serve.max_ongoing_queries",
            256,
            lambda now: now >= 8,
            "the engine has the next query at hand when one ends",
        ),
    ]


def _of_latency(settings: Mapping[str, Any], traffic: Traffic) -> list[Wish]:
    if not (rate := traffic.prompt_tokens_per_s):
        return []
    most = max(SMALLEST_STEP, 1 << round(rate * STEP_S).bit_length())
    why = f"at {rate:,.0f} tokens/s a step then lasts about {STEP_S:g} s, which is what a small request waits behind it"
    return [
        _wish(
            settings,
            "engine.max_num_batched_tokens",
            most,
            lambda now: now is not None and now <= 2 * most,
            why,
        )
    ]


def _wish(settings: Mapping[str, Any], setting: str, wanted: Any, fits: Any, why: str) -> Wish:
    if setting not in settings:
        return Wish(setting, wanted, None, None, why)
    now = settings[setting]
    return Wish(setting, wanted, now, bool(fits(now)), why)
