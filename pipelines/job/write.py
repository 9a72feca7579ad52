"""Hop 7: rankings and judgements -> everything that the folder of a finished run holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from pipelines.base.config import RunConfig
from pipelines.job.analysed import with_analysed
from pipelines.job.analysis import Findings, write_analysis
from pipelines.job.baseline import baseline_of
from pipelines.job.each_run import begin_child
from pipelines.job.forecast import with_forecast
from pipelines.job.prompt_tokens import token_counter, with_tokens
from pipelines.job.ranked import (
    NOT_JUDGED,
    evaluate_lists,
    evaluate_rankings,
    failed_pairs,
    query_ids_of,
    write_findings,
    write_trec,
)
from pipelines.job.remarks import failed_remark, moved_remark
from pipelines.job.scored import Scored, work_of
from pipelines.job.summary import Coverage, RunFacts, summarise
from pipelines.runs.folder import RunFolder
from pipelines.runs.models import model_type
from stages.core.metrics import HostedPart
from stages.core.records import QueryMetrics
from stages.files.columns import read_first_stage
from stages.files.manifest import CandidatesManifest
from stages.files.rankings import read_answered
from stages.telemetry.telemetry import Telemetry


def write_results(folder: RunFolder, scored: Scored) -> Coverage:
    """Complete the job's folder, and that of each first stage where there are several. Returns the job's counts."""
    prepared, telemetry = scored.prepared, scored.streamed.telemetry
    if not prepared.judgements.tokens and (count := token_counter(scored.config, scored.model)) is not None:
        prepared.judgements = with_tokens(prepared.judgements, folder.texts, count)
    for name, manifest in prepared.runs.items():
        child = folder.child(name)
        _complete(child, begin_child(folder, child, scored.config, name), scored, manifest, part_of=folder.run_id)
    folder.write_timeline(telemetry.points)
    folder.write_system(telemetry.system)
    return _complete(folder, scored.config, scored, prepared.manifest)


def _complete(
    folder: RunFolder, config: RunConfig, scored: Scored, manifest: CandidatesManifest, part_of: str | None = None
) -> Coverage:
    prepared, whole = scored.prepared, part_of is None
    coverage = write_trec(folder)
    reranked = evaluate_rankings(folder, read_answered(folder.rankings), prepared.judgements, config)
    first_stage, fused = NOT_JUDGED, None
    if whole and prepared.runs:
        fused = baseline_of(folder, prepared, reranked, config)
    else:
        first_stage = evaluate_lists(read_first_stage(folder.candidates), prepared.judgements, config)
    found = _findings(folder, scored, coverage, first_stage, reranked, whole=whole)
    write_findings(folder, config, found, scored.dataset, scored.engines)
    told = write_analysis(folder, config, replace(found, fused=fused.analysis() if fused else None))
    facts = _facts(folder, config, scored, found, coverage, manifest, part_of)
    facts = replace(facts, fused=fused.part() if fused else None)
    metrics = with_forecast(with_analysed(summarise(facts), told), config, scored.identity)
    if folder.stage_number is not None:
        metrics["stage"] = folder.stage_number
    folder.write_json(folder.metrics, metrics)
    return coverage


def _findings(
    folder: RunFolder,
    scored: Scored,
    coverage: Coverage,
    first_stage: QueryMetrics,
    reranked: QueryMetrics,
    *,
    whole: bool,
) -> Findings:
    """Of the job, or of one of its several first stages."""
    prepared, name = scored.prepared, None if whole else folder.path.name
    return Findings(
        judgements=prepared.judgements,
        first_stage=first_stage,
        reranked=reranked,
        failures=[*(prepared.set_aside if whole else []), *failed_pairs(folder)],
        work=work_of(coverage, scored) if whole else None,
        position=scored.position if whole else None,
        remarks=[
            *prepared.remarks(name),
            *failed_remark(coverage.failed_pairs, coverage.pairs),
            *moved_remark(scored.hosted),
        ],
        labels=prepared.labels,
        listwise=scored.identity.listwise,
        order_only=prepared.order_only(name),
        slices=scored.slices,
        has_first_stage=prepared.has_first_stage(name),
        reranker=_reranker(scored),
    )


def _reranker(scored: Scored) -> dict[str, Any]:
    model = scored.model
    of_model = {"name": model.name, "family": model.family, "weights_digest": model.digest, "api": model.api}
    return of_model | {"model": scored.identity.model, "model_type": model_type(model.path)}


def _facts(
    folder: RunFolder,
    config: RunConfig,
    scored: Scored,
    found: Findings,
    coverage: Coverage,
    manifest: CandidatesManifest,
    part_of: str | None,
) -> RunFacts:
    prepared, whole = scored.prepared, part_of is None
    return RunFacts(
        run_id=folder.run_id,
        started=scored.started,
        config_digest=config.digest,
        candidates_digest=manifest.digest,
        lists_digest=manifest.lists_digest,
        model=scored.model,
        identity=scored.identity,
        dtype=scored.dtype,
        first_stage=found.first_stage,
        reranked=found.reranked,
        judgements=found.judgements,
        answers=prepared.answers,
        query_ids=frozenset(query_ids_of(folder)),
        coverage=coverage,
        set_aside_rows=len(prepared.set_aside) if whole else None,
        wall_s=scored.streamed.wall_s,
        telemetry=scored.streamed.telemetry if whole else Telemetry({}, 0.0),
        store_used=config.rerank.store is not None,
        canaries_passed=scored.canaries_passed,
        canaries_asked=scored.config.model.canaries if scored.canaries_passed is not None else None,
        canary_drift=scored.canary_drift,
        part_of=part_of,
        hosted=cast("HostedPart | None", scored.hosted) if whole else None,
        query_ms=scored.streamed.query_ms if whole else None,
        first_stage_made=prepared.made_of(None if whole else folder.path.name),
    )
