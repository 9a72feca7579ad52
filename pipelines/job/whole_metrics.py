"""What the stages of a cascade measured -> the metrics.json of the whole, and what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, cast

from pipelines.base.redaction import redacted
from pipelines.job.summary import judgements_part, quality_part
from serve_app.settings import HOSTED, OVERLAP
from stages.core.cascade import CASCADE, cascade_identity, cascade_name
from stages.core.identity import ScoringIdentity
from stages.core.metrics import (
    SCHEMA_VERSION,
    CachePart,
    CoveragePart,
    IdentityPart,
    Metrics,
    ModelPart,
    ScoresPart,
    StageCost,
    StagePart,
    ThroughputPart,
)
from stages.core.records import Judgements, QueryMetrics
from stages.quality.answers import AnswerCounts
from stages.telemetry.telemetry import ratio


@dataclass(frozen=True, slots=True)
class WholeFacts:
    """All that is known of the whole besides its stages. `queries` are judged or given, `answered` those of which some
    stage scored a document; `identities` and depths are by stage.
    """

    run_id: str
    started: datetime
    config_digest: str
    candidates_digest: str
    lists_digest: str
    judgements: Judgements
    answers: AnswerCounts | None
    first_stage: QueryMetrics
    reranked: QueryMetrics
    queries: int
    answered: int
    identities: Sequence[tuple[ScoringIdentity, int | None]]
    prompt_tokens: int


def stage_part(metrics: Metrics, depth: int | None, engine_s: float | None, cost: Mapping[str, Any]) -> StagePart:
    """A stage's own metrics.json and the cost of its analysis.json -> its part of the whole's metrics.json."""
    told: StagePart = {
        "depth": depth,
        "model": metrics["model"],
        "identity": metrics["identity"],
        "quality": metrics["quality"],
        "coverage": metrics["coverage"],
        "scores": metrics["scores"],
        "throughput": metrics["throughput"],
        "queue": metrics["queue"],
        "cache": metrics["cache"],
        "tokens": metrics["tokens"],
        "cost": cast("StageCost", {"engine_s": engine_s, **{name: cost[name] for name in COSTS}}),
    }
    if "latency" in metrics:
        told["latency"] = metrics["latency"]
    if "hosted" in metrics:
        told["hosted"] = metrics["hosted"]
    return told


COSTS = ("pairs_per_query", "engine_s_per_query", "money", "money_per_1000_queries")


def cascade_metrics(facts: WholeFacts, stages: Sequence[StagePart]) -> Metrics:
    """The content of metrics.json. What belongs to one engine, such as a percentile of its queue, is null."""
    identity = cascade_identity(facts.identities)
    peaks = [one["cache"]["kv_usage_peak"] for one in stages]
    metrics: Metrics = {
        "schema_version": SCHEMA_VERSION,
        "run_id": facts.run_id,
        "started": facts.started.astimezone(UTC).isoformat(),
        "part_of": None,
        "config_digest": facts.config_digest,
        "candidates_digest": facts.candidates_digest,
        "lists_digest": facts.lists_digest,
        "judgements_digest": facts.judgements.digest if len(facts.judgements) else None,
        "model": _model(stages, identity),
        "identity": cast("IdentityPart", redacted(asdict(identity) | {"digest": identity.digest})),
        "quality": quality_part(facts.first_stage, facts.reranked),
        "coverage": _coverage(facts, [one["coverage"] for one in stages]),
        "scores": _scores(stages),
        "throughput": _throughput(facts, stages),
        "queue": {
            "time_ms": {"p50": None, "p95": None, "p99": None},
            "waiting_max": max(_known(one["queue"]["waiting_max"] for one in stages), default=None),
        },
        "cache": _cache(stages, max(_known(peaks), default=None)),
        "tokens": {
            "prompt": _whole(_sum_of_all(one["tokens"]["prompt"] for one in stages)),
            "generation": _sum(one["tokens"]["generation"] for one in stages),
        },
        "forecast": {"run": None, "scoring_s": None, "error": None},
        "stages": list(stages),
    }
    if len(facts.judgements):
        metrics["judgements"] = judgements_part(facts.judgements, facts.answers)
    return metrics


def whole_cost(
    parts: Sequence[Mapping[str, Any]], hosted: Sequence[bool], gains: Mapping[str, float]
) -> dict[str, Any]:
    """The costs of the stages, as analysis.json has them, added up: what is not known of one is not known of all. Only
    a hosted model has no engine seconds, and is left out of them where others have some.
    """
    engines = [part for part, elsewhere in zip(parts, hosted, strict=True) if not elsewhere]
    seconds = _sum_of_all(part["engine_s_per_query"] for part in engines) if engines else None
    prices = {part["per_hour"] for part in parts}
    return {
        "pairs_per_query": _sum_of_all(part["pairs_per_query"] for part in parts),
        "tokens_per_query": _sum_of_all(part["tokens_per_query"] for part in engines) if engines else None,
        "engine_s_per_query": seconds,
        "gain_per_engine_s": {metric: gain / seconds if seconds else None for metric, gain in gains.items()},
        "money": _sum_of_all(part["money"] for part in parts),
        "money_per_1000_queries": _sum_of_all(part["money_per_1000_queries"] for part in parts),
        "per_hour": prices.pop() if len(prices) == 1 else None,
    }


def _model(stages: Sequence[StagePart], identity: ScoringIdentity) -> ModelPart:
    several = [one["model"] for one in stages]
    return {
        "name": cascade_name([one["name"] for one in several]),
        "revision": None,
        "family": CASCADE,
        "weights_digest": None,
        "max_length": None,
        "dtype": identity.dtype,
        "recipe": None,
        "remarks": [
            f"stage {number}: {remark}" for number, one in enumerate(several, 1) for remark in one.get("remarks") or ()
        ],
        "backend": identity.backend,
    }


def _coverage(facts: WholeFacts, several: Sequence[CoveragePart]) -> CoveragePart:
    """Of `unasked_pairs` and rows set aside the first stage tells: they are of the data."""
    return {
        "queries": facts.queries,
        "answered": facts.answered,
        "unanswered": facts.queries - facts.answered,
        "pairs": sum(one["pairs"] for one in several),
        "failed_pairs": sum(one["failed_pairs"] for one in several),
        "unasked_pairs": several[0]["unasked_pairs"],
        "truncated_pairs": _whole(_sum_of_all(one["truncated_pairs"] for one in several)),
        "pairs_in_passages": _sum(one["pairs_in_passages"] for one in several),
        "passages": _sum(one["passages"] for one in several),
        "set_aside_rows": several[0]["set_aside_rows"],
    }


def _scores(stages: Sequence[StagePart]) -> ScoresPart:
    """Ties of the last stage, whose scores order the top. Canaries of all stages that were asked."""
    scoring = [one for one in stages if one["throughput"]["scored_pairs"] and _has_engine(one)]
    passed = list(_known(one["scores"]["canaries_passed"] for one in scoring))
    asked = [one["scores"]["canaries_asked"] for one in scoring]
    return {
        "tied_share": stages[-1]["scores"]["tied_share"],
        "canaries_passed": all(passed) if passed and len(passed) == len(scoring) else None,
        "canaries_asked": None if not passed else "strict" if set(asked) == {"strict"} else "finite",
        "canary_drift": max(_known(one["scores"]["canary_drift"] for one in stages), default=None),
        "canary_tolerance": max(_known(one["scores"]["canary_tolerance"] for one in stages), default=None),
    }


def _has_engine(stage: StagePart) -> bool:
    """Neither a hosted model nor the stand-in."""
    return stage["model"]["family"] not in (HOSTED, OVERLAP)


def _throughput(facts: WholeFacts, stages: Sequence[StagePart]) -> ThroughputPart:
    wall_s = _sum_of_all(one["throughput"]["wall_s"] for one in stages)
    scored = sum(one["throughput"]["scored_pairs"] or 0 for one in stages)
    counted = all("hosted" not in one for one in stages)
    measured = bool(scored and wall_s)
    return {
        "wall_s": wall_s,
        "scored_pairs": scored,
        "pairs_per_s": ratio(scored, wall_s or 0.0) if measured else None,
        "prompt_tokens_per_s": ratio(facts.prompt_tokens, wall_s or 0.0) if measured and counted else None,
        "engine_processor_s": _sum(one["throughput"].get("engine_processor_s") for one in stages),
    }


def _cache(stages: Sequence[StagePart], peak: float | None) -> CachePart:
    hits = _sum(one["cache"]["score_store_hits"] for one in stages)
    pairs = sum(one["coverage"]["pairs"] for one in stages)
    return {
        "prefix_hit_rate": None,
        "kv_usage_peak": peak,
        "score_store_hits": hits,
        "score_store_hit_rate": None if hits is None else ratio(hits, pairs),
        "reused_vectors": _sum(one["cache"].get("reused_vectors") for one in stages),
        "reused_vector_rate": None,
    }


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _known(values: Iterable[Any]) -> Iterable[Any]:
    return (value for value in values if value is not None)


def _sum(values: Iterable[Any]) -> Any:
    """Of those that there are; None where there is none."""
    known = list(_known(values))
    return sum(known) if known else None


def _sum_of_all(values: Iterable[float | None]) -> float | None:
    """None where one is not known."""
    several = list(values)
    return None if None in several else sum(one or 0.0 for one in several)
