"""A load test's result -> the rows of steps.csv and the content of load.json."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from stages.telemetry.load import LoadResult, LoadStep, power

COLUMNS = {
    "step": "number of the step, from 1",
    "mode": "closed: clients that wait for their answers; open: arrivals at a rate",
    "level": "clients (closed), or requests offered per second (open)",
    "seconds": "what throughput is measured over",
    "answered": "requests answered with HTTP 200",
    "documents": "pairs of query and document in them",
    "prompt_tokens": "tokens that the service read for them; empty where it does not tell",
    "requests_per_s": "answered / seconds",
    "pairs_per_s": "documents / seconds",
    "prompt_tokens_per_s": "prompt_tokens / seconds",
    "mean_ms": "mean latency of the answered requests",
    "p50_ms": "median latency",
    "p90_ms": "90 % were answered within this",
    "p95_ms": "95 % were answered within this",
    "p99_ms": "99 % were answered within this",
    "max_ms": "longest latency",
    "errors": "requests that failed",
    "error_share": "errors / (answered + errors), 0 to 1",
    "errors_by_kind": "as `HTTP 503: 4; timeout: 1`",
    "power": "pairs_per_s / mean latency in seconds; the knee has the largest",
    "knee": "1 for the knee, else 0",
    "client_share": "share of one core that the client took",
    "held_back": "open loop: arrivals that waited in the client, as too many were outstanding",
    "late_ms": "open loop: how late the other requests were sent, on average; part of the latencies",
}
"""The columns of steps.csv, in order, and what each holds."""


def step_row(result: LoadResult, index: int) -> dict[str, Any]:
    """One row of steps.csv, its keys in the order of COLUMNS; what does not apply is None."""
    step = result.steps[index]
    row = {
        "step": index + 1,
        "mode": step.mode,
        "level": step.level,
        "seconds": round(step.seconds, 3),
        "answered": step.answered,
        "documents": step.documents,
        "prompt_tokens": step.prompt_tokens,
        **_rates(step),
        **_latency(step),
        "errors": step.failed,
        "error_share": round(step.error_share, 4),
        "errors_by_kind": "; ".join(f"{kind}: {count}" for kind, count in sorted(step.errors.items())),
        "power": _rounded(power(step)),
        "knee": int(index == result.knee),
        "client_share": _rounded(step.client_share),
        "held_back": step.held_back,
        "late_ms": _rounded(step.late_ms),
    }
    return {name: row[name] for name in COLUMNS}


def load_content(result: LoadResult) -> dict[str, Any]:
    """The content of load.json: the records as they are, and each step's rates."""
    content = asdict(result)
    content["tokens_per_pair"] = _rounded(result.tokens_per_pair)
    content["steps"] = [
        asdict(step)
        | {"errors": dict(step.errors), "error_share": round(step.error_share, 4), "power": _rounded(power(step))}
        | _rates(step)
        for step in result.steps
    ]
    return content


def _rates(step: LoadStep) -> dict[str, float | None]:
    return {
        "requests_per_s": _rounded(step.requests_per_s),
        "pairs_per_s": _rounded(step.pairs_per_s),
        "prompt_tokens_per_s": _rounded(step.prompt_tokens_per_s),
    }


def _latency(step: LoadStep) -> dict[str, float | None]:
    names = ("mean_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms")
    return {name: None if step.latency is None else round(getattr(step.latency, name), 3) for name in names}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
