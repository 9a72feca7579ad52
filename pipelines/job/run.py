"""The main job, hop by hop: the user's data -> candidates -> rankings -> metrics.json -> MLflow."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pipelines.base.config import RunConfig
from pipelines.base.interruption import Interruption
from pipelines.base.logs import libraries_log_to
from pipelines.base.redaction import write_config
from pipelines.job.cascade import score_stages
from pipelines.job.checks import check_before_scoring
from pipelines.job.connection import LateCluster, most_replicas
from pipelines.job.console import JobConsole
from pipelines.job.prepare import prepare_data
from pipelines.job.score import Job, Part, make_engine, score
from pipelines.job.scored import Scored
from pipelines.job.whole import write_cascade
from pipelines.job.write import write_results
from pipelines.runs.folder import RunFolder, too_many_failed
from pipelines.runs.read import read_metrics
from pipelines.runs.report import try_report
from pipelines.tracking.client import track
from pipelines.tracking.copying import copy_results
from pipelines.verdict.gate import fault_of, gate_finished
from serve_app.engine.models import ModelInfo
from serve_app.engine.places import moved
from stages.analysis.oracle import RECALL
from stages.core.errors import (
    RerankEvalError,
    TooManyFailuresError,
    TrackingError,
    gravest,
)
from stages.core.metrics import CoveragePart, Metrics
from stages.quality.compiling import Compiling
from stages.sources import Source
from stages.sources.temporary import temporary_folder


def run(
    config: RunConfig,
    console: JobConsole,
    log: Callable[[RunFolder], object] | None = None,
    cluster: LateCluster | None = None,
) -> RunFolder:
    """Run the job and leave everything in a run folder, then in MLflow: with `log` and on the `cluster` of whatever it
    is a part of, if it is.

    Raises InputError (exit 2), EngineError or CanaryError (1), TooManyFailuresError (3, results kept), RegressedError
    (6) or CannotTellError (5) where the config has a gate, TrackingError (4), all three with results that are complete,
    InterruptedRunError (130, what was scored is kept). Where several hold, the gravest.
    """
    started = datetime.now(UTC)
    for one in config.stages():
        if one.model.api is not None:
            console.sends(one.model)
    models, source, notes = check_before_scoring(config)
    console.notes(moved(), *notes)
    with contextlib.ExitStack() as stack:
        folder = RunFolder.create(Path(config.output.dir), source.name)
        if not config.output.texts:
            folder = RunFolder(folder.path, stack.enter_context(temporary_folder()))
        cluster = cluster or LateCluster(config.serve, most_replicas(config))
        log = log or partial(track, tracking=config.tracking)
        return _run_in(folder, config, started, models, source, console, cluster, log)


def _run_in(
    folder: RunFolder,
    config: RunConfig,
    started: datetime,
    models: Sequence[ModelInfo],
    source: Source,
    console: JobConsole,
    cluster: LateCluster,
    log: Callable[[RunFolder], object],
) -> RunFolder:
    for model in models:
        console.scored_as(model)
    write_config(folder.config, config.to_yaml(), config.model_dump(mode="json"))
    with folder.told_when_full(), libraries_log_to(folder.logs):
        with cluster, Interruption(console.say) as interruption:
            compiling = Compiling(tuple(dict.fromkeys((*config.evaluate.metrics, RECALL))))
            job = Job(started, source, config.gate.slices, console, cluster, interruption, compiling)
            scored = _score(job, config, models, folder)
        with Interruption(console.say):
            return _conclude(folder, config, scored, console, log)


def _score(job: Job, config: RunConfig, models: Sequence[ModelInfo], folder: RunFolder) -> list[Scored]:
    """Hops 1 to 6: of each stage of a cascade, or of the one model."""
    if config.rerank.stages is not None:
        return score_stages(job, config, models, folder)
    (model,) = models
    prepare = partial(prepare_data, job.source, config, folder)
    engine = partial(make_engine, model, config, job.console, job.cluster)
    return [score(job, Part(config, model, folder, prepare), engine)]


def _conclude(
    folder: RunFolder,
    config: RunConfig,
    scored: Sequence[Scored],
    console: JobConsole,
    log: Callable[[RunFolder], object],
) -> RunFolder:
    """Hops 7 and 8: evaluate, write everything, judge it where a gate is asked for, then log it."""
    _write(folder, config, scored)
    metrics = read_metrics(folder)
    for one in (folder, *folder.children(), *folder.stages()):
        if (fault := try_report(one)) is not None:
            console.note(fault)
    folder.link_as_latest()
    console.table(metrics, {name: read_metrics(folder.child(name)) for name in scored[0].prepared.runs})
    console.verdict(folder)
    if metrics["quality"]["reranked"] is None and config.output.texts:
        console.unjudged(folder)
    try:
        faults = [*_gated(folder, config, console), *_logged(folder, config, log)]
        if too_many_failed(metrics, config.rerank.max_failed_share):
            faults.append(_too_many(metrics, config, folder))
        worst = gravest(faults)
        for other in faults:
            if other is not worst:
                console.note(str(other))
    finally:
        console.where(folder, config.tracking)
    if worst is not None:
        raise worst
    return folder


def _write(folder: RunFolder, config: RunConfig, scored: Sequence[Scored]) -> None:
    if config.rerank.stages is None:
        write_results(folder, *scored)
    else:
        write_cascade(folder, config, scored)


def _gated(folder: RunFolder, config: RunConfig, console: JobConsole) -> Iterator[RerankEvalError]:
    """The verdict, where the config asks for one. Whatever it is, the results are logged."""
    if not config.gate.asked:
        return
    try:
        verdict = gate_finished(folder, config)
    except RerankEvalError as error:
        yield error
        return
    console.gated(verdict.sentence(), verdict.notes)
    if (fault := fault_of(verdict, folder)) is not None:
        yield fault


def _logged(folder: RunFolder, config: RunConfig, log: Callable[[RunFolder], object]) -> Iterator[RerankEvalError]:
    """Copied and logged, each though the other fails."""
    for step in (partial(copy_results, to=config.output.copy_to), log):
        try:
            step(folder)
        except TrackingError as error:
            yield error


def _too_many(metrics: Metrics, config: RunConfig, folder: RunFolder) -> TooManyFailuresError:
    stages = metrics.get("stages") or []
    told = [_failed(one["coverage"], f" in stage {number}") for number, one in enumerate(stages, 1)]
    told = told or [_failed(metrics["coverage"])]
    return TooManyFailuresError(
        f"{', '.join(told)}, more than rerank.max_failed_share {config.rerank.max_failed_share:g} allows. Results are "
        f"kept; reasons are in {folder.failures}"
    )


def _failed(coverage: CoveragePart, where: str = "") -> str:
    return f"{coverage['failed_pairs']} of {coverage['pairs']} pairs failed{where}"
