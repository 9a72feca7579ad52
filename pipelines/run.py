"""The main job, hop by hop: the user's data -> candidates -> rankings -> metrics.json -> MLflow.

`python -m pipelines.run --config F` is `rerank-eval run --config F`, for `ray job submit`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.cluster import connected, session_logs
from pipelines.config import RunConfig
from pipelines.console import Console
from pipelines.engines import JobEngine
from pipelines.environment import describe_environment
from pipelines.logs import copy_process_logs, libraries_log_to
from pipelines.run_folder import RunFolder
from pipelines.stream import Stream, StreamResult
from pipelines.summary import Coverage, RunFacts, summarise
from pipelines.tracking import track
from serve_app.models import ModelInfo, describe
from stages.errors import TooManyFailuresError
from stages.evaluate import evaluate, warm_up
from stages.prepare import prepare_all
from stages.rankings import read_rankings, write_trec_run
from stages.records import Candidates, Judgements, Location, QueryMetrics, SetAside
from stages.sources import Source, open_source
from stages.tables import CandidatesManifest, read_candidates, write_candidates, write_failures

NOT_JUDGED = QueryMetrics(query_ids=(), values={}, answered=())


@dataclass(slots=True)
class Prepared:
    """Hops 1 and 2: what is known about the data before an engine is asked."""

    manifest: CandidatesManifest
    judgements: Judgements
    set_aside: list[SetAside] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scored:
    """Hops 1 to 6: the data, what streaming it took, and what each engine said of itself."""

    prepared: Prepared
    streamed: StreamResult
    engines: list[dict[str, Any]]


def run(config: RunConfig, console: Console) -> RunFolder:
    """Run the job and leave everything in a run folder, then in MLflow.

    Raises InputError (exit 2), EngineError or CanaryError (1), TooManyFailuresError (3, results kept), TrackingError
    (4, results complete).
    """
    model = describe(config.model)
    source = open_source(config.data)
    folder = RunFolder.create(Path(config.output.dir), source.name)
    folder.config.write_text(config.to_yaml(), encoding="utf-8")
    with libraries_log_to(folder.logs):
        with connected(config.serve.ray_address, config.serve.replicas):
            scored = _score(config, model, source, folder, console)
        return _conclude(config, model, source.name, folder, scored, console)


def prepare_data(source: Source, depth: int | None, folder: RunFolder, see: Callable[[Candidates], None]) -> Prepared:
    """Hops 1 and 2: read, validate, cut, and write the candidates once; `see` looks at each on its way."""
    set_aside: list[SetAside] = []
    judgements = source.judgements(set_aside.append)
    candidates = prepare_all(source.queries(set_aside.append), depth, set_aside.append)
    try:
        manifest = write_candidates(_seen(candidates, see), folder.candidates)
    finally:
        write_failures(set_aside, folder.failures)  # also where nothing is left: it says why
    return Prepared(manifest, judgements, set_aside)


def _seen(candidates: Iterable[Candidates], see: Callable[[Candidates], None]) -> Iterator[Candidates]:
    for one in candidates:
        see(one)
        yield one


def _score(config: RunConfig, model: ModelInfo, source: Source, folder: RunFolder, console: Console) -> Scored:
    """Hops 1 to 6. The engine starts while the data is prepared and the metrics are compiled."""
    started_s = time.monotonic()
    engine = JobEngine(model, config)
    try:
        compiling = threading.Thread(target=warm_up, args=(config.evaluate.metrics,), daemon=True)
        compiling.start()
        with console.working("reading the data, while the engine starts"):
            prepared = prepare_data(source, config.data.depth, folder, engine.see)
        console.prepared(prepared.manifest, len(prepared.set_aside))
        workers = config.rerank.workers or (config.serve.replicas if engine.app else 1)
        stream = Stream(folder.candidates, folder.rankings, engine.make_scorer(), workers, config.rerank.batch_queries)
        with console.working("the engine starts"):
            engine.wait_until_ready()
        console.ready(engine.app, engine.needed, time.monotonic() - started_s)
        with console.progress(prepared.manifest) as on_progress:
            streamed = stream.finish(engine.application, on_progress)
        compiling.join()
    finally:
        engines = engine.replicas()
        copy_process_logs(session_logs(), [facts["process_id"] for facts in engines], folder.logs)
        engine.stop()
    return Scored(prepared, streamed, engines)


def _conclude(
    config: RunConfig, model: ModelInfo, dataset: str, folder: RunFolder, scored: Scored, console: Console
) -> RunFolder:
    """Hops 7 and 8: evaluate, write everything, then log it."""
    facts = _measure(config, model, folder, scored)
    metrics, coverage = summarise(facts), facts.coverage
    write_failures(scored.prepared.set_aside + _failed_pairs(folder), folder.failures)
    folder.write_timeline(facts.telemetry.points)
    folder.write_per_query(facts.first_stage, facts.reranked)
    folder.write_json(folder.environment, describe_environment(dataset, scored.engines))
    folder.write_json(folder.metrics, metrics)
    folder.link_as_latest()
    console.table(metrics)
    try:
        track(folder, config.tracking)
    finally:
        console.where(folder, config.tracking)
    if coverage.failed_share > config.rerank.max_failed_share:
        raise TooManyFailuresError(
            f"{coverage.failed_pairs} of {coverage.pairs} pairs failed, more than rerank.max_failed_share "
            f"{config.rerank.max_failed_share:g} allows. Results are kept; reasons are in {folder.failures}"
        )
    return folder


def _measure(config: RunConfig, model: ModelInfo, folder: RunFolder, scored: Scored) -> RunFacts:
    """Hop 7: both lists against the judgements, and everything that was counted."""
    prepared, streamed = scored.prepared, scored.streamed
    coverage = _write_trec_run(folder)
    first_stage, reranked = _evaluate(folder, prepared.judgements, config.evaluate.metrics)
    return RunFacts(
        run_id=folder.run_id,
        config_digest=config.digest,
        candidates_digest=prepared.manifest.digest,
        model=model,
        # A replica that is starting has not said its dtype yet.
        dtype=next((engine["dtype"] for engine in scored.engines if "dtype" in engine), None),
        first_stage=first_stage,
        reranked=reranked,
        judgements=prepared.judgements,
        query_ids=frozenset(one.query_id for one in read_candidates(folder.candidates)),
        coverage=coverage,
        set_aside_rows=len(prepared.set_aside),
        wall_s=streamed.wall_s,
        telemetry=streamed.telemetry,
        store_used=config.rerank.store is not None,
    )


def _write_trec_run(folder: RunFolder) -> Coverage:
    """Write run.trec, and count what was answered on the way."""
    coverage = Coverage()
    with folder.trec_run.open("w", encoding="utf-8") as lines:
        for ranking in read_rankings(folder.rankings):
            coverage.add(ranking)
            write_trec_run([ranking], lines, tag="rerank-eval")
    return coverage


def _failed_pairs(folder: RunFolder) -> list[SetAside]:
    """The pairs without a score, with their reasons."""
    where = Location(str(folder.candidates))
    return [
        SetAside(where, reason, ranking.query_id, doc_id)
        for ranking in read_rankings(folder.rankings)
        for doc_id, reason in ranking.failed.items()
    ]


def _evaluate(folder: RunFolder, judgements: Judgements, metrics: tuple[str, ...]) -> tuple[QueryMetrics, QueryMetrics]:
    """Both lists on the same judgements: the first stage's own order, and the reranked one."""
    before = {one.query_id: one.doc_ids + one.tail for one in read_candidates(folder.candidates)}
    after = {ranking.query_id: ranking.ordered() for ranking in read_rankings(folder.rankings)}
    if not len(judgements):
        return NOT_JUDGED, NOT_JUDGED
    return evaluate(before, judgements, metrics), evaluate(after, judgements, metrics)


if __name__ == "__main__":
    import sys

    from pipelines.cli import main

    main(["run", *sys.argv[1:]])
