"""Hops 3 to 6 on Ray Data: candidates from Parquet, streamed through the application, to rankings in Parquet.

Ray Data hands ranges of rows to its workers, which read, score and rank them; what comes back is written here.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data
from ray.data import ExecutionResources
from ray.data._internal.execution import streaming_executor_state

from pipelines.base.interruption import StopFlag
from pipelines.job.progress import Progress, StreamResult
from pipelines.job.ranges import CandidatesAccess, Range, blocks_of, range_of, ranges_of
from serve_app.replica.app import AppSettings, told_by_all
from serve_app.replica.collector import News, collector_of
from stages.core.records import Candidates
from stages.core.rerank import rerank
from stages.core.scoring import Scorer
from stages.core.withheld import told_ranking
from stages.files.rankings import RANKING_SCHEMA, rankings_table
from stages.telemetry.latencies import Latencies
from stages.telemetry.telemetry import Telemetry, TimelinePoint

POLL_S = 1.0
# A further column of what workers return: the seconds of the call that scored the query.
TOOK = "took_s"
# Batches that a worker has at work: with one, the engine runs dry while the last queries of it come back.
BATCHES_AT_ONCE = 3
# How long Ray Data waits for the end of a call before it looks at all of them.
LOOK_AT_CALLS_S = 0.5
# What may wait, scored and not yet written, for each worker.
WORKER_OBJECT_BYTES = 1 << 26
# How long the replicas may take to tell their last counts after the last score.
SETTLE_S = 5.0


class Batches:
    """What Ray Data calls with a range at a time, in a worker. What is made of its queries is a table of `schema`, a
    row each, in whose columns `doc_ids`, `store_hits` and `failed` a Ranking has what is counted of it.
    """

    schema: ClassVar[pa.Schema]

    def __init__(self, access: CandidatesAccess, stop: StopFlag, quoting: bool = True) -> None:
        self.reader, self.stop, self.quoting = access.connect(), stop, quoting

    async def __call__(self, batch: pa.Table) -> pa.Table:
        if self.stop.is_set():
            return _timed(self.schema.empty_table(), 0.0)
        candidates = await asyncio.to_thread(self.reader.read, range_of(batch))
        began_s = time.perf_counter()
        made = await self.make(candidates)
        return _timed(made, time.perf_counter() - began_s)

    async def make(self, candidates: Sequence[Candidates]) -> pa.Table:
        raise NotImplementedError


class RerankBatches(Batches):
    """The queries of a range are one Serve call."""

    schema = RANKING_SCHEMA

    def __init__(
        self, make_scorer: Callable[[], Scorer], access: CandidatesAccess, stop: StopFlag, quoting: bool = True
    ) -> None:
        super().__init__(access, stop, quoting)
        self.scorer = make_scorer()

    async def make(self, candidates: Sequence[Candidates]) -> pa.Table:
        rankings = await rerank(list(candidates), self.scorer)
        return rankings_table(rankings if self.quoting else list(map(told_ranking, rankings)))


@dataclass(frozen=True, slots=True)
class Feed:
    """How workers feed the engine: `make_scorer` is called once in each, by `batches`, which asks what it gives; once
    `stop` is set they begin no query.

    `batch_queries` are one call at most, of which each worker has so many at once that three times as many queries are
    at work. Where `growing`, each query is a call: Serve, which grows by the number of calls, then sees how many wait.
    `quoting` says whether the reasons of pairs that fail may quote a text. `deployed` is what the application calls its
    engines.
    """

    make_scorer: Callable[[], Any]
    workers: int
    batch_queries: int
    stop: StopFlag
    quoting: bool = True
    growing: bool = False
    deployed: str = AppSettings.deployed
    batches: type[Batches] = RerankBatches


class Stream:
    """Reranks every query under `candidates` into `rankings`/part-00000.parquet, or makes of it what the feed's batches
    do; block by block, in bounded memory.

    Ray Data takes seconds to start, so it starts here, while the engine does too; the first calls wait for the engine.
    The engines of `application` (None: there is no engine) are watched meanwhile.
    """

    def __init__(self, candidates: Path, rankings: Path, feed: Feed, application: str | None) -> None:
        _set_up_ray_data(feed.workers)
        self.progress = Progress()
        self._rankings, self._schema = rankings, feed.batches.schema
        self._latencies = Latencies()
        self._watch = EngineWatch(application, self.progress, feed.deployed)
        ranges = list(ranges_of(candidates, 1 if feed.growing else feed.batch_queries))
        calls = calls_at_once(ranges, feed.batch_queries)
        access = CandidatesAccess(ray.get_runtime_context().get_node_id())
        self._dataset = ray.data.from_arrow(blocks_of(ranges)).map_batches(
            feed.batches,
            fn_constructor_args=(feed.make_scorer, access, feed.stop, feed.quoting),
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=0.5,
            compute=ray.data.ActorPoolStrategy(
                min_size=1,
                max_size=feed.workers,
                initial_size=feed.workers,
                max_concurrent_calls_per_actor=calls,
            ),
        )
        self._finished: Future[None] = Future()
        threading.Thread(target=self._pull, name="stream", daemon=True).start()

    def finish(self, ready_s: float | None, on_progress: Callable[[Progress, TimelinePoint], None]) -> StreamResult:
        """Wait for the last ranking, watching the engines, of which the first was ready at `ready_s` (Unix time)."""
        with self._watch.since(ready_s, on_progress) as watch:
            self._finished.result()
        return StreamResult(watch.started_s, watch.scoring_s, watch.telemetry, self._latencies.told_ms())

    def _pull(self) -> None:
        try:
            self._write_all()
        except BaseException as error:
            self._finished.set_exception(error)
        else:
            self._finished.set_result(None)

    def _write_all(self) -> None:
        self._rankings.mkdir(parents=True, exist_ok=True)
        with pq.ParquetWriter(self._rankings / "part-00000.parquet", self._schema) as writer:
            for table in self._dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                assert isinstance(table, pa.Table)
                self._observe(table)
                writer.write_table(table.select(self._schema.names).cast(self._schema))
                self.progress.add(table)

    def _observe(self, table: pa.Table) -> None:
        """How long the call of each query took, if something of it was scored."""
        for took_s, ids, hits in zip(
            *(table[name].to_pylist() for name in (TOOK, "doc_ids", "store_hits")), strict=True
        ):
            if hits < len(ids):
                self._latencies.observe(took_s)


def _timed(table: pa.Table, took_s: float) -> pa.Table:
    return table.append_column(TOOK, pa.array([took_s] * table.num_rows, pa.float64()))


def calls_at_once(ranges: Sequence[Range], batch_queries: int) -> int:
    """How many ranges a worker has at work: as many queries as BATCHES_AT_ONCE whole batches hold, however long their
    texts are.
    """
    rows = max((one.rows for one in ranges), default=1)
    return -(-BATCHES_AT_ONCE * batch_queries // rows)


class EngineWatch:
    """While open, asks the collector once a second what the engines did, and reports it with the progress.

    What they had done before this was made does not count.
    """

    def __init__(self, application: str | None, progress: Progress, deployed: str = AppSettings.deployed) -> None:
        self._application, self._deployed = application, deployed
        self._collector: Any = collector_of(application) if application else None
        self._sequence, self._baselines = 0, {}
        if self._collector is not None:
            self._sequence, self._baselines = ray.get(self._collector.latest.remote())
        self._progress = progress
        self._made_s = time.time()
        self.scoring_s = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine-watch", daemon=True)

    def since(self, ready_s: float | None, on_progress: Callable[[Progress, TimelinePoint], None]) -> EngineWatch:
        """Count time from here: the first engine's readiness, if that came after this was made."""
        self._on_progress = on_progress
        self.started_s = min(max(self._made_s, ready_s or 0.0), time.time())
        self.telemetry = Telemetry(self._baselines, self.started_s)
        return self

    def __enter__(self) -> EngineWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.scoring_s = time.time() - self.started_s
        self._done.set()
        self._thread.join()
        self._settle()

    def _run(self) -> None:
        while not self._done.wait(POLL_S):
            self._poll()

    def _poll(self) -> None:
        news = News(self._sequence, [])
        try:
            if self._collector is not None:
                news = ray.get(self._collector.news.remote(self._sequence), timeout=POLL_S * 5)
        except ray.exceptions.RayError as error:
            logging.getLogger("ray.data").warning("the telemetry collector did not answer: %s", error)
        self._sequence = news.sequence
        done = self._progress
        point = self.telemetry.take(news.snapshots, time.time(), done.queries, done.pairs)
        done.prompts = self.telemetry.total().finished
        self._on_progress(done, point)

    def _settle(self) -> None:
        """Have the last counts of all replicas that live."""
        if self._application and not told_by_all(self._application, SETTLE_S, self._deployed):
            logging.getLogger("ray.data").warning("a replica did not tell its last counts within %g s", SETTLE_S)
        self._poll()


def _set_up_ray_data(workers: int) -> None:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.enable_operator_progress_bars = False
    context.memory_usage_poll_interval_s = None  # else each call has a thread that reads its process's memory maps
    # Ray Data looks at everything it runs when a call ends, and when this time is over: ten times a second by itself.
    streaming_executor_state.WAIT_FOR_TASK_COMPLETION_TIMEOUT_S = LOOK_AT_CALLS_S
    # Scoring may be quicker than writing: without a limit the rankings pile up in the object store.
    context.execution_options.resource_limits = ExecutionResources(object_store_memory=workers * WORKER_OBJECT_BYTES)
