"""Hops 3 to 6 where a hosted model scores: imported by a job that has one, as its client takes time to import."""

from __future__ import annotations

from pipelines.base.config import RunConfig
from pipelines.base.interruption import Interruption
from pipelines.hosted.meter import BudgetSpentError
from pipelines.job.console import JobConsole
from pipelines.job.engine import JobEngine
from pipelines.job.hosted import HostedEngine
from pipelines.job.hosted_stream import HostedStream
from pipelines.job.inquiry import Inquiry
from pipelines.job.prepare import Prepared
from pipelines.job.progress import StreamResult
from pipelines.job.remarks import moved_remark
from pipelines.job.stored import StoredRankings
from pipelines.job.unfinished import interrupted, kept_for_the_next_try
from pipelines.runs.folder import RunFolder
from serve_app.engine.models import ModelInfo
from stages.core.errors import EngineError


def hosted_engine(model: ModelInfo, config: RunConfig, console: JobConsole) -> HostedEngine:
    """Once its server has said what it is. Raises ConfigError and EngineError."""
    inquiry = Inquiry(config)
    with console.waiting("server      says what it is", inquiry.phase):
        inquiry.ask()
    return HostedEngine(model, config, inquiry)


def ask_hosted(
    engine: JobEngine,
    stored: StoredRankings,
    config: RunConfig,
    folder: RunFolder,
    prepared: Prepared,
    console: JobConsole,
    interruption: Interruption,
) -> StreamResult:
    """Hops 3 to 6 where a hosted model scores. Raises InterruptedRunError, and what asking stopped of, with what is
    ranked kept.
    """
    assert isinstance(engine, HostedEngine)
    with console.waiting("server      is asked again for stored pairs", engine.phase):
        engine.recheck(folder.texts)
    for told in moved_remark(engine.told()):
        console.note(told)  # now, as more may be paid for
    if not engine.needed:
        console.ready(None, needed=False, seconds=0.0)
        return stored.finish()
    stream = HostedStream(engine.scorer, folder.texts, folder.rankings, quoting=config.output.texts)
    try:
        with console.progress(prepared.manifest) as on_progress, interruption.finishing_work():
            streamed = stream.finish(on_progress, lambda: interruption.requested)
    except (EngineError, BudgetSpentError) as error:
        told = kept_for_the_next_try(config, folder, prepared, stream.progress.queries)
        raise type(error)(f"{str(error).rstrip('.')}. {told}") from error
    if stream.progress.queries < prepared.manifest.queries:
        raise interrupted(config, folder, prepared, stream.progress.queries)
    engine.note_pace()
    return streamed
