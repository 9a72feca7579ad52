"""What a run learned -> the content of metrics.json, whose keys `stages.core.metrics` tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import cast

from pipelines.base.redaction import redacted
from serve_app.engine.canaries import CanaryDrift
from serve_app.engine.models import ModelInfo
from serve_app.settings import Canaries
from stages.core.first_stage import MadeFirstStage
from stages.core.identity import ScoringIdentity
from stages.core.judges import JudgedBy, judged_by
from stages.core.metrics import (
    SCHEMA_VERSION,
    CachePart,
    CoveragePart,
    FusedPart,
    HostedPart,
    IdentityPart,
    JudgementsPart,
    Metrics,
    ModelPart,
    QualityPart,
    Quantiles,
    QueuePart,
    ThroughputPart,
    TokensPart,
)
from stages.core.records import Judgements, QueryMetrics, Ranking
from stages.core.vectors import VECTOR_FAMILIES
from stages.quality.answers import AnswerCounts
from stages.quality.evaluate import metric_key
from stages.telemetry.telemetry import Telemetry, ratio


@dataclass(slots=True)
class Coverage:
    """Counts over queries and pairs of one run, added up ranking by ranking."""

    queries: int = 0
    answered: int = 0
    pairs: int = 0
    failed_pairs: int = 0
    unasked_pairs: int = 0
    truncated_pairs: int = 0
    pairs_in_passages: int = 0
    passages: int = 0
    prompt_tokens: int = 0
    store_hits: int = 0
    reused_pairs: int = 0
    neighbours: int = 0
    tied_neighbours: int = 0

    def add(self, ranking: Ranking) -> None:
        self.queries += 1
        self.answered += ranking.answered
        self.pairs += len(ranking.doc_ids) + len(ranking.failed)
        self.failed_pairs += len(ranking.failed)
        self.unasked_pairs += ranking.unscored - len(ranking.failed)
        self.truncated_pairs += ranking.truncated_pairs
        several = [passages for passages in ranking.passages if passages > 1]
        self.pairs_in_passages += len(several)
        self.passages += sum(several)
        self.prompt_tokens += ranking.prompt_tokens
        self.store_hits += ranking.store_hits
        self.reused_pairs += ranking.reused_pairs
        self.neighbours += max(len(ranking.doc_ids) - 1, 0)
        self.tied_neighbours += ranking.tied_neighbours

    @property
    def scored_pairs(self) -> int:
        """Pairs that the engine scored in this run."""
        return self.pairs - self.failed_pairs - self.store_hits

    @property
    def failed_share(self) -> float:
        return self.failed_pairs / self.pairs if self.pairs else 0.0


@dataclass(frozen=True, slots=True)
class RunFacts:
    """All that metrics.json is made from.

    `started` is when the job began, aware. `part_of` names the job whose other first stages were reranked with this
    one: its metrics hold what scoring cost. `first_stage` is empty where there is no single one.
    """

    run_id: str
    started: datetime
    config_digest: str
    candidates_digest: str
    lists_digest: str
    model: ModelInfo
    identity: ScoringIdentity
    dtype: str | None
    first_stage: QueryMetrics
    reranked: QueryMetrics
    judgements: Judgements
    query_ids: frozenset[str]
    coverage: Coverage
    set_aside_rows: int | None
    wall_s: float
    telemetry: Telemetry
    store_used: bool = False
    canaries_passed: bool | None = None
    canaries_asked: Canaries | None = None
    canary_drift: CanaryDrift | None = None
    part_of: str | None = None
    hosted: HostedPart | None = None
    query_ms: Quantiles | None = None
    answers: AnswerCounts | None = None
    fused: FusedPart | None = None
    first_stage_made: Mapping[str, MadeFirstStage] = field(default_factory=dict)


def summarise(facts: RunFacts) -> Metrics:
    """The content of metrics.json."""
    done = facts.coverage
    telemetry = facts.telemetry if facts.telemetry.latest else None
    metrics: Metrics = {
        "schema_version": SCHEMA_VERSION,
        "run_id": facts.run_id,
        "started": facts.started.astimezone(UTC).isoformat(),
        "part_of": facts.part_of,
        "config_digest": facts.config_digest,
        "candidates_digest": facts.candidates_digest,
        "lists_digest": facts.lists_digest,
        "judgements_digest": facts.judgements.digest if len(facts.judgements) else None,
        "model": _model(facts),
        "identity": _identity(facts.identity),
        "quality": quality_part(facts.first_stage, facts.reranked),
        "coverage": _coverage(facts),
        "scores": {
            "tied_share": ratio(done.tied_neighbours, done.neighbours),
            "canaries_passed": facts.canaries_passed,
            "canaries_asked": facts.canaries_asked,
            "canary_drift": facts.canary_drift and facts.canary_drift.largest,
            "canary_tolerance": facts.canary_drift and facts.canary_drift.tolerance,
        },
        "throughput": _throughput(facts),
        "queue": _queue(telemetry),
        "cache": _cache(facts, telemetry),
        "tokens": _tokens(facts, telemetry),
    }
    if len(facts.judgements):
        metrics["judgements"] = judgements_part(facts.judgements, facts.answers)
    if facts.query_ms is not None:
        metrics["latency"] = {"query_ms": facts.query_ms}
    if facts.fused is not None:
        metrics["fused_first_stages"] = facts.fused
    if facts.first_stage_made:
        metrics["first_stage_made"] = {name: made.part() for name, made in facts.first_stage_made.items()}
    if facts.hosted is not None:
        metrics["hosted"] = facts.hosted
    return metrics


def judgements_part(judgements: Judgements, answers: AnswerCounts | None) -> JudgementsPart:
    told: JudgementsPart = {"kind": judgements.kind}
    if judgements.kind == "qrels":
        told |= _by_whom(judged_by(judgements))
    if answers is not None:
        told |= {
            "match": answers.match,
            "answers": answers.answers,
            "short_answers": answers.short.count,
            "queries_in_none": answers.in_none.count,
            "queries_in_all": answers.in_all.count,
        }
    return told


def _by_whom(found: JudgedBy) -> JudgementsPart:
    told: JudgementsPart = {"kind": "qrels", "by": found.by}
    if found.judge is not None:
        told |= {
            "judge": found.judge,
            "queries_by_people": found.queries_by_people,
            "queries_by_model": found.queries_by_model,
            "pairs_by_people": found.pairs_by_people,
            "pairs_by_model": found.pairs_by_model,
            "pairs_graded": found.pairs_graded,
        }
    return told


def _coverage(facts: RunFacts) -> CoveragePart:
    done, queries = facts.coverage, len(facts.query_ids | set(facts.judgements.grades))
    in_passages = facts.identity.long_documents is not None
    return {
        "queries": queries,
        "answered": done.answered,
        "unanswered": queries - done.answered,
        "pairs": done.pairs,
        "failed_pairs": done.failed_pairs,
        "unasked_pairs": done.unasked_pairs,
        "truncated_pairs": done.truncated_pairs if facts.model.api is None else None,
        "pairs_in_passages": done.pairs_in_passages if in_passages else None,
        "passages": done.passages if in_passages else None,
        "set_aside_rows": facts.set_aside_rows,
    }


def _model(facts: RunFacts) -> ModelPart:
    return {
        "name": facts.model.name,
        "revision": facts.model.revision,
        "family": facts.model.family,
        "weights_digest": facts.model.digest,
        "max_length": facts.model.max_length or None,
        "dtype": facts.dtype,
        "recipe": facts.model.recipe.name if facts.model.recipe else None,
        "remarks": list(facts.model.remarks),
        "backend": facts.identity.backend,
    }


def _identity(identity: ScoringIdentity) -> IdentityPart:
    told = redacted(asdict(identity) | {"digest": identity.digest})
    return cast("IdentityPart", told)


def _throughput(facts: RunFacts) -> ThroughputPart:
    done = facts.coverage
    measured = bool(done.scored_pairs) and facts.part_of is None
    counted = measured and facts.model.api is None  # nobody else tells the tokens of each prompt
    return {
        "wall_s": facts.wall_s if facts.part_of is None else None,
        "scored_pairs": done.scored_pairs if facts.part_of is None else None,
        "pairs_per_s": ratio(done.scored_pairs, facts.wall_s) if measured else None,
        "prompt_tokens_per_s": ratio(done.prompt_tokens, facts.wall_s) if counted else None,
        "engine_processor_s": facts.telemetry.total().processor_s or None if measured else None,
    }


def quality_part(first_stage: QueryMetrics, reranked: QueryMetrics) -> QualityPart:
    """Null where nothing was judged; with several first stages there is none to compare with."""
    before = {metric_key(name): first_stage.mean(name) for name in first_stage.values} if first_stage.query_ids else {}
    after = {metric_key(name): reranked.mean(name) for name in reranked.values} if reranked.query_ids else {}
    delta = {name: after[name] - before[name] for name in before}
    return {"first_stage": before or None, "reranked": after or None, "delta": delta or None}


def _queue(telemetry: Telemetry | None) -> QueuePart:
    """As the engines report it; null where none ran."""
    total = telemetry.total() if telemetry else None
    p50, p95, p99 = (total.queue_ms.quantile(share) if total else None for share in (0.50, 0.95, 0.99))
    return {
        "time_ms": {"p50": p50, "p95": p95, "p99": p99},
        "waiting_max": telemetry.waiting_peak if telemetry else None,
    }


def _cache(facts: RunFacts, telemetry: Telemetry | None) -> CachePart:
    total = telemetry.total() if telemetry else None
    done = facts.coverage
    hits = done.store_hits if facts.store_used and facts.part_of is None else None
    reused = done.reused_pairs if facts.identity.family in VECTOR_FAMILIES and facts.part_of is None else None
    return {
        "prefix_hit_rate": ratio(total.prefix_hits, total.prefix_queries) if total else None,
        "kv_usage_peak": telemetry.kv_usage_peak if telemetry and total and total.prefix_queries else None,
        "score_store_hits": hits,
        "score_store_hit_rate": None if hits is None else ratio(hits, done.pairs),
        "reused_vectors": reused,
        "reused_vector_rate": None if reused is None else ratio(reused, done.scored_pairs),
    }


def _tokens(facts: RunFacts, telemetry: Telemetry | None) -> TokensPart:
    return {
        "prompt": facts.coverage.prompt_tokens if facts.part_of is None and facts.model.api is None else None,
        "generation": telemetry.total().generation_tokens if telemetry else None,
    }
