"""Hop 7: rankings and judgements -> everything that the folder of a finished run holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.base.config import RunConfig
from pipelines.base.environment import describe_environment
from pipelines.base.redaction import write_config
from pipelines.job.analysed import with_analysed
from pipelines.job.analysis import Findings, write_analysis
from pipelines.job.baseline import baseline_of
from pipelines.job.forecast import with_forecast
from pipelines.job.prepare import Prepared
from pipelines.job.progress import StreamResult
from pipelines.job.prompt_tokens import token_counter, with_tokens
from pipelines.job.remarks import failed_remark, moved_remark
from pipelines.job.summary import Coverage, RunFacts, summarise
from pipelines.runs.folder import RunFolder
from pipelines.runs.models import model_type
from pipelines.runs.read import read_fields
from serve_app.engine.canaries import CanaryDrift
from serve_app.engine.models import ModelInfo
from serve_app.replica.facts import engine_fact
from stages.analysis.cost import RunWork
from stages.analysis.position import PositionCheck
from stages.core.identity import ScoringIdentity
from stages.core.judges import by_query
from stages.core.metrics import HostedPart
from stages.core.records import Candidates, Judgements, Location, QueryMetrics, Ranking, SetAside
from stages.core.several import split
from stages.files.columns import read_first_stage
from stages.files.failures import write_failures
from stages.files.judgements import write_judgements
from stages.files.manifest import CandidatesManifest
from stages.files.rankings import (
    RANKING_SCHEMA,
    rankings_table,
    read_answered,
    read_failed,
    read_lists,
    read_rankings,
    write_trec_run,
)
from stages.quality.evaluate import evaluate_stream
from stages.quality.slices import Groups
from stages.sources.bm25.settings import Bm25Settings
from stages.telemetry.telemetry import Telemetry

NOT_JUDGED = QueryMetrics(query_ids=(), values={}, answered=())
RANKINGS_PER_GROUP = 1000


@dataclass(frozen=True, slots=True)
class Scored:
    """Hops 1 to 6 of one job: the data, what streaming it took, and what each engine said of itself.

    `canaries_passed` and `position` are None where no engine was asked, `canary_drift` where no score is known.
    `slices` are the user's groups of the queries.
    """

    config: RunConfig
    started: datetime
    model: ModelInfo
    identity: ScoringIdentity
    dataset: str
    prepared: Prepared
    streamed: StreamResult
    engines: list[dict[str, Any]]
    canaries_passed: bool | None = None
    canary_drift: CanaryDrift | None = None
    position: PositionCheck | None = None
    hosted: Mapping[str, Any] | None = None
    slices: Groups = field(default_factory=dict)

    @property
    def dtype(self) -> str | None:
        """A replica that is starting has not said its dtype yet; one that died before the last ranking may have."""
        told: str | None = engine_fact(self.engines, "dtype")
        return told


def write_results(folder: RunFolder, scored: Scored) -> Coverage:
    """Complete the job's folder, and that of each first stage where there are several. Returns the job's counts."""
    prepared, telemetry = scored.prepared, scored.streamed.telemetry
    if not prepared.judgements.tokens and (count := token_counter(scored.config, scored.model)) is not None:
        prepared.judgements = with_tokens(prepared.judgements, folder.texts, count)
    for name, manifest in prepared.runs.items():
        child = folder.child(name)
        config = _config_of(scored.config, name)
        write_config(child.config, config.to_yaml(), config.model_dump(mode="json"))
        _split_rankings(folder, child)
        _complete(child, config, scored, manifest, part_of=folder.run_id)
    folder.write_timeline(telemetry.points)
    folder.write_system(telemetry.system)
    return _complete(folder, scored.config, scored, prepared.manifest)


def write_trec(folder: RunFolder) -> Coverage:
    """Write run.trec, and count what was answered on the way."""
    coverage = Coverage()
    with folder.trec_run.open("w", encoding="utf-8") as lines:
        for ranking in read_rankings(folder.rankings):
            coverage.add(ranking)
            write_trec_run([ranking], lines, tag="rerank-eval")
    return coverage


def failed_pairs(folder: RunFolder) -> Iterator[SetAside]:
    """The pairs without a score, with their reasons."""
    where = Location(str(folder.candidates))
    for query_id, failed in read_failed(folder.rankings):
        for doc_id, reason in failed.items():
            yield SetAside(where, reason, query_id, doc_id)


def _complete(
    folder: RunFolder, config: RunConfig, scored: Scored, manifest: CandidatesManifest, part_of: str | None = None
) -> Coverage:
    prepared, whole = scored.prepared, part_of is None
    coverage = write_trec(folder)
    first_stage, reranked = NOT_JUDGED, _reranked(folder, prepared.judgements, config)
    if not (whole and prepared.runs):
        first_stage = evaluate_lists(read_first_stage(folder.candidates), prepared.judgements, config)
    fused = baseline_of(folder, prepared, reranked, config) if whole and prepared.runs else None
    facts = RunFacts(
        run_id=folder.run_id,
        started=scored.started,
        config_digest=config.digest,
        candidates_digest=manifest.digest,
        lists_digest=manifest.lists_digest,
        model=scored.model,
        identity=scored.identity,
        dtype=scored.dtype,
        first_stage=first_stage,
        reranked=reranked,
        judgements=prepared.judgements,
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
        fused=fused.part() if fused else None,
        first_stage_made=prepared.made_of(None if whole else folder.path.name),
    )
    fields = {**read_fields(folder, config.gate.slices), **scored.slices}
    folder.write_per_query(first_stage, reranked, fields, by_query(prepared.judgements))
    if len(prepared.judgements):
        write_judgements(prepared.judgements, folder.judgements)
    folder.write_json(folder.environment, describe_environment(scored.dataset, scored.engines))
    found = replace(_findings(folder, facts, scored), fused=fused.analysis() if fused else None)
    told = write_analysis(folder, config, found)
    metrics = with_forecast(with_analysed(summarise(facts), told), config, scored.identity)
    if folder.stage_number is not None:
        metrics["stage"] = folder.stage_number
    folder.write_json(folder.metrics, metrics)
    return coverage


def _findings(folder: RunFolder, facts: RunFacts, scored: Scored) -> Findings:
    """And failures.parquet, which has them whole."""
    prepared, coverage, whole = scored.prepared, facts.coverage, facts.part_of is None
    failures = [*(prepared.set_aside if whole else []), *failed_pairs(folder)]
    write_failures(failures, folder.failures)
    return Findings(
        judgements=facts.judgements,
        first_stage=facts.first_stage,
        reranked=facts.reranked,
        failures=failures,
        work=work_of(coverage, scored) if whole else None,
        position=scored.position if whole else None,
        remarks=[
            *prepared.remarks(None if whole else folder.path.name),
            *failed_remark(coverage.failed_pairs, coverage.pairs),
            *moved_remark(scored.hosted),
        ],
        labels=prepared.labels,
        listwise=scored.identity.listwise,
        order_only=prepared.order_only(None if whole else folder.path.name),
        slices=scored.slices,
        has_first_stage=prepared.has_first_stage(None if whole else folder.path.name),
        reranker=_reranker(scored),
    )


def _reranker(scored: Scored) -> dict[str, Any]:
    model = scored.model
    of_model = {"name": model.name, "family": model.family, "weights_digest": model.digest, "api": model.api}
    return of_model | {"model": scored.identity.model, "model_type": model_type(model.path)}


def held_s(engines: Sequence[Mapping[str, Any]], began_s: float, ended_s: float) -> float:
    """The seconds for which engines were held between two moments (Unix s), of all of them added up: one that died and
    the one that took its place count for as long as each lasted, from the start of its process.
    """
    lasted = [min(one["ended_s"] or ended_s, ended_s) - max(one["began_s"], began_s) for one in engines]
    return sum((max(seconds, 0.0) for seconds in lasted), 0.0)


def work_of(coverage: Coverage, scored: Scored) -> RunWork:
    """What the job did with the model, or with that of one stage."""
    streamed = scored.streamed
    held = held_s(scored.engines, streamed.started_s, streamed.started_s + streamed.wall_s)
    return RunWork(
        queries=coverage.queries,
        pairs=coverage.pairs,
        scored_pairs=coverage.scored_pairs,
        prompt_tokens=coverage.prompt_tokens,
        engine_s=None if scored.hosted else held if scored.engines else streamed.wall_s,
        billed=scored.hosted["cost"] if scored.hosted else None,
        billed_besides=(scored.hosted["recheck_cost"] or 0.0) if scored.hosted else 0.0,
    )


def _config_of(config: RunConfig, name: str) -> RunConfig:
    """The config that would rerank this first stage alone."""
    run = (config.data.runs or {}).get(name)
    first_stage = config.data.first_stage if run is None else None
    made = {} if first_stage else {"first_stage": None, "bm25": Bm25Settings()}
    data = config.data.model_copy(update={"run": run, "runs": None, **made})
    return config.model_copy(update={"data": data})


def _split_rankings(folder: RunFolder, child: RunFolder) -> None:
    """The child's part of the job's rankings. Of its candidates the ids alone are held, as Arrow."""
    table = pa.concat_tables(
        pq.read_table(file, columns=["query_id", "doc_ids", "tail", "listed"], partitioning=None)
        for file in sorted(child.candidates.glob("part-*.parquet"))
    )
    rows = {query_id: row for row, query_id in enumerate(table.column("query_id").to_pylist())}
    child.rankings.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(child.rankings / "part-00000.parquet", RANKING_SCHEMA) as writer:
        some: list[Ranking] = []
        for ranking in read_rankings(folder.rankings):
            if (row := rows.get(ranking.query_id)) is not None:
                (one,) = table.slice(row, 1).to_pylist()
                doc_ids, tail, listed = (tuple(one[name]) for name in ("doc_ids", "tail", "listed"))
                some.append(split(ranking, Candidates(ranking.query_id, "", doc_ids, (), (), tail, listed=listed)))
            if len(some) == RANKINGS_PER_GROUP:
                writer.write_table(rankings_table(some))
                some = []
        writer.write_table(rankings_table(some))


def evaluate_lists(
    rankings: Iterable[tuple[str, tuple[str, ...]]], judgements: Judgements, config: RunConfig
) -> QueryMetrics:
    """Of each query's ids, best first; without values where nothing is judged."""
    return evaluate_stream(rankings, judgements, config.evaluate.metrics) if len(judgements) else NOT_JUDGED


def _reranked(folder: RunFolder, judgements: Judgements, config: RunConfig) -> QueryMetrics:
    """A query of which nothing was scored has a list, the one it was given with, and is not answered all the same."""
    found = evaluate_lists(read_lists(folder.rankings), judgements, config)
    answered = set(read_answered(folder.rankings))
    return replace(found, answered=tuple(query_id in answered for query_id in found.query_ids))


def query_ids_of(folder: RunFolder) -> Iterator[str]:
    """Those that it has candidates of."""
    for file in sorted(folder.candidates.glob("part-*.parquet")):
        yield from pq.read_table(file, columns=["query_id"], partitioning=None).column("query_id").to_pylist()
