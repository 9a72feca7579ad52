"""Hops 1 to 6 with one model: the job's data, or what a stage of a cascade left -> rankings."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipelines.base.config import RunConfig
from pipelines.base.interruption import Interruption
from pipelines.job.connection import LateCluster
from pipelines.job.console import JobConsole
from pipelines.job.engine import JobEngine
from pipelines.job.prepare import Prepared, See
from pipelines.job.progress import StreamResult
from pipelines.job.scored import Scored
from pipelines.job.slices import grouped
from pipelines.job.stored import StoredRankings
from pipelines.job.unfinished import interrupted
from pipelines.runs.folder import RunFolder
from pipelines.verdict.slices import check_slices_there
from serve_app.engine.models import ModelInfo
from serve_app.replica.facts import notes_of
from serve_app.settings import HOSTED
from stages.quality.compiling import Compiling
from stages.sources import Source


@dataclass(frozen=True, slots=True)
class Job:
    """What all models of a job share. `slices` are those of its gate."""

    started: datetime
    source: Source
    slices: Mapping[str, Sequence[str]]
    console: JobConsole
    cluster: LateCluster
    interruption: Interruption
    compiling: Compiling


@dataclass(frozen=True, slots=True)
class Part:
    """One model of a job: its own config, the folder of its results, and what gives it its candidates, each of which is
    seen on its way to be scored.
    """

    config: RunConfig
    model: ModelInfo
    folder: RunFolder
    prepare: Callable[[See], Prepared]


def score(
    job: Job, part: Part, make_engine: Callable[[], JobEngine], meanwhile: Callable[[], object] = lambda: None
) -> Scored:
    """The engine starts while the data is prepared and the metrics are compiled. `meanwhile` is called once it scores.

    Raises InterruptedRunError, with what is ranked kept.
    """
    started_s, config, console = time.monotonic(), part.config, job.console
    engine = make_engine()
    try:
        job.compiling.require_loaded()
        stored = StoredRankings(engine, part.folder.rankings, quoting=config.output.texts)
        with console.working("reading the data, while an engine starts if one is needed"):
            prepared = part.prepare(stored.see)
        console.made(prepared.made)
        console.prepared(prepared.manifest, prepared.set_aside, prepared.remarks(), prepared.order_only())
        slices = grouped(part.folder, config.evaluate.slices, prepared.judgements.grades, console.note)
        check_slices_there(part.folder, job.slices, slices)
        if part.model.family == HOSTED:
            from pipelines.job.ask import ask_hosted

            streamed = ask_hosted(engine, stored, config, part.folder, prepared, console, job.interruption)
        elif engine.needed:
            streamed = _stream(engine, job, part, prepared, started_s, meanwhile)
        else:
            console.ready(None, engine.alone, 0.0)
            streamed = stored.finish()
        position = engine.check_positions(part.folder.texts, config.evaluate.position_queries)
        job.compiling.finish()
    finally:
        engines = stop(engine, part.folder, console)
    return Scored(
        config=config,
        started=job.started,
        model=part.model,
        identity=engine.identity,
        dataset=job.source.name,
        prepared=prepared,
        streamed=streamed,
        engines=engines,
        canaries_passed=engine.canaries_passed,
        canary_drift=engine.canary_drift,
        position=position,
        hosted=engine.told(),
        slices=slices,
    )


def make_engine(model: ModelInfo, config: RunConfig, console: JobConsole, cluster: LateCluster) -> JobEngine:
    if model.family != HOSTED:
        with console.starting(lambda: "a Ray cluster is waited for"):
            return JobEngine(model, config, cluster.connect)
    from pipelines.job.ask import hosted_engine

    return hosted_engine(model, config, console)


def stop(engine: JobEngine, folder: RunFolder, console: JobConsole) -> list[dict[str, Any]]:
    """Take the engine down, with its logs kept and what is to be known of it said. Returns what its replicas told."""
    engines = engine.replicas()
    if engines:
        from pipelines.job.served import keep_logs  # Ray

        keep_logs(engines, engine.config, folder, console)
    engine.stop()
    for note in (*engine.notes, *notes_of(engines)):
        console.note(note)
    return engines


def _stream(
    engine: JobEngine, job: Job, part: Part, prepared: Prepared, started_s: float, meanwhile: Callable[[], object]
) -> StreamResult:
    """Hops 3 to 6 on an engine, where the store lacks a pair. Raises InterruptedRunError, with what is ranked kept."""
    from pipelines.job.stream import Feed, Stream  # Ray Data

    config, folder, console, interruption = part.config, part.folder, job.console, job.interruption
    with console.starting(engine.phase):
        engine.wait_until_identified()
    workers = config.rerank.workers or (config.serve.replicas if engine.app else 1)
    stop, quoting = interruption.flag, config.output.texts
    feed = Feed(engine.make_scorer(), workers, config.rerank.batch_queries, stop, quoting, growing=config.serve.grows)
    stream = Stream(folder.texts, folder.rankings, feed, engine.application)
    with console.starting(engine.phase):
        engine.wait_until_ready()
    console.ready(engine.app, engine.needed, time.monotonic() - started_s)
    meanwhile()
    with console.progress(prepared.manifest) as on_progress, interruption.finishing_work():
        streamed = stream.finish(engine.ready_s(), on_progress)
    if stream.progress.queries < prepared.manifest.queries:
        raise interrupted(config, folder, prepared, stream.progress.queries)
    return streamed
