"""The main job, hop by hop: the user's data -> candidates -> rankings -> metrics.json -> MLflow."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from pipelines.base.config import RunConfig
from pipelines.base.interruption import Interruption
from pipelines.base.logs import libraries_log_to
from pipelines.base.redaction import write_config
from pipelines.job.checks import check_before_scoring
from pipelines.job.connection import LateCluster
from pipelines.job.console import JobConsole
from pipelines.job.engine import JobEngine
from pipelines.job.prepare import Prepared, prepare_data
from pipelines.job.progress import StreamResult
from pipelines.job.stored import StoredRankings
from pipelines.job.summary import Coverage
from pipelines.job.unfinished import interrupted
from pipelines.job.write import Scored, write_results
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import read_metrics
from pipelines.runs.report import try_report
from pipelines.tracking.client import track
from pipelines.tracking.copying import copy_results
from pipelines.verdict.gate import fault_of, gate_finished
from pipelines.verdict.slices import check_slices_there
from serve_app.engine.models import ModelInfo
from serve_app.engine.places import moved
from serve_app.replica.facts import notes_of
from serve_app.settings import HOSTED
from stages.analysis.oracle import RECALL
from stages.core.errors import (
    RerankEvalError,
    TooManyFailuresError,
    TrackingError,
    gravest,
)
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
    if config.model.api is not None:
        console.sends(config.model)
    model, source, notes = check_before_scoring(config)
    console.notes(moved(), *notes)
    with contextlib.ExitStack() as stack:
        folder = RunFolder.create(Path(config.output.dir), source.name)
        if not config.output.texts:
            folder = RunFolder(folder.path, stack.enter_context(temporary_folder()))
        cluster, log = cluster or LateCluster(config.serve), log or partial(track, tracking=config.tracking)
        return _run_in(folder, config, started, model, source, console, cluster, log)


def _run_in(
    folder: RunFolder,
    config: RunConfig,
    started: datetime,
    model: ModelInfo,
    source: Source,
    console: JobConsole,
    cluster: LateCluster,
    log: Callable[[RunFolder], object],
) -> RunFolder:
    console.scored_as(model)
    write_config(folder.config, config.to_yaml(), config.model_dump(mode="json"))
    with folder.told_when_full(), libraries_log_to(folder.logs):
        with cluster, Interruption(console.say) as interruption:
            scored = _score(config, started, model, source, folder, console, cluster, interruption)
        with Interruption(console.say):
            return _conclude(folder, scored, console, log)


def _score(
    config: RunConfig,
    started: datetime,
    model: ModelInfo,
    source: Source,
    folder: RunFolder,
    console: JobConsole,
    cluster: LateCluster,
    interruption: Interruption,
) -> Scored:
    """Hops 1 to 6. The engine starts while the data is prepared and the metrics are compiled."""
    started_s = time.monotonic()
    compiling = Compiling(tuple(dict.fromkeys((*config.evaluate.metrics, RECALL))))
    engine = _make_engine(model, config, console, cluster)
    try:
        compiling.require_loaded()
        stored = StoredRankings(engine, folder.rankings, quoting=config.output.texts)
        with console.working("reading the data, while an engine starts if one is needed"):
            prepared = prepare_data(source, config, folder, stored.see)
        console.prepared(prepared.manifest, prepared.set_aside, prepared.remarks(), prepared.order_only())
        check_slices_there(folder, config.gate.slices)
        if model.family == HOSTED:
            from pipelines.job.ask import ask_hosted

            streamed = ask_hosted(engine, stored, config, folder, prepared, console, interruption)
        elif engine.needed:
            streamed = _stream(engine, config, folder, prepared, console, interruption, started_s)
        else:
            console.ready(None, engine.alone, 0.0)
            streamed = stored.finish()
        position = engine.check_positions(folder.texts, config.evaluate.position_queries)
        compiling.finish()
    finally:
        engines = _stop(engine, folder, console)
    return Scored(
        config=config,
        started=started,
        model=model,
        identity=engine.identity,
        dataset=source.name,
        prepared=prepared,
        streamed=streamed,
        engines=engines,
        canaries_passed=engine.canaries_passed,
        canary_drift=engine.canary_drift,
        position=position,
        hosted=engine.told(),
    )


def _make_engine(model: ModelInfo, config: RunConfig, console: JobConsole, cluster: LateCluster) -> JobEngine:
    if model.family != HOSTED:
        with console.starting(lambda: "a Ray cluster is waited for"):
            return JobEngine(model, config, cluster.connect)
    from pipelines.job.hosted import HostedEngine

    with console.working("asking the server what it is"):
        return HostedEngine(model, config)


def _stream(
    engine: JobEngine,
    config: RunConfig,
    folder: RunFolder,
    prepared: Prepared,
    console: JobConsole,
    interruption: Interruption,
    started_s: float,
) -> StreamResult:
    """Hops 3 to 6 on an engine, where the store lacks a pair. Raises InterruptedRunError, with what is ranked kept."""
    from pipelines.job.stream import Feed, Stream  # Ray Data

    with console.starting(engine.phase):
        engine.wait_until_identified()
    workers = config.rerank.workers or (config.serve.replicas if engine.app else 1)
    stop, quoting = interruption.flag, config.output.texts
    feed = Feed(engine.make_scorer(), workers, config.rerank.batch_queries, stop, quoting, growing=config.serve.grows)
    stream = Stream(folder.texts, folder.rankings, feed, engine.application)
    with console.starting(engine.phase):
        engine.wait_until_ready()
    console.ready(engine.app, engine.needed, time.monotonic() - started_s)
    with console.progress(prepared.manifest) as on_progress, interruption.finishing_work():
        streamed = stream.finish(engine.ready_s(), on_progress)
    if stream.progress.queries < prepared.manifest.queries:
        raise interrupted(config, folder, prepared, stream.progress.queries)
    return streamed


def _stop(engine: JobEngine, folder: RunFolder, console: JobConsole) -> list[dict[str, Any]]:
    """Take the engine down, with its logs kept and what is to be known of it said. Returns what its replicas told."""
    engines = engine.replicas()
    if engines:
        from pipelines.job.served import keep_logs  # Ray

        keep_logs(engines, engine.config, folder, console)
    engine.stop()
    for note in (*engine.notes, *notes_of(engines)):
        console.say(f"note        {note}")
    return engines


def _conclude(folder: RunFolder, scored: Scored, console: JobConsole, log: Callable[[RunFolder], object]) -> RunFolder:
    """Hops 7 and 8: evaluate, write everything, judge it where a gate is asked for, then log it."""
    config = scored.config
    coverage = write_results(folder, scored)
    for one in (folder, *folder.children()):
        if (fault := try_report(one)) is not None:
            console.say(f"note        {fault}")
    folder.link_as_latest()
    console.table(read_metrics(folder), {name: read_metrics(folder.child(name)) for name in scored.prepared.runs})
    console.verdict(folder)
    try:
        faults = [*_gated(folder, config, console), *_logged(folder, config, log)]
        if coverage.failed_share > config.rerank.max_failed_share:
            faults.append(_too_many(coverage, config, folder))
        worst = gravest(faults)
        for other in faults:
            if other is not worst:
                console.note(str(other))
    finally:
        console.where(folder, config.tracking)
    if worst is not None:
        raise worst
    return folder


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


def _too_many(coverage: Coverage, config: RunConfig, folder: RunFolder) -> TooManyFailuresError:
    return TooManyFailuresError(
        f"{coverage.failed_pairs} of {coverage.pairs} pairs failed, more than rerank.max_failed_share "
        f"{config.rerank.max_failed_share:g} allows. Results are kept; reasons are in {folder.failures}"
    )
