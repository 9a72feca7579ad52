"""Candidates from Parquet, asked for query by query in an event loop of this process, to rankings in Parquet."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq

from pipelines.hosted.client import HostedScorer
from pipelines.hosted.places import Places
from pipelines.job.progress import Progress, StreamResult
from pipelines.job.stored import PAIRS_AT_ONCE
from stages.core.records import Candidates, Ranking
from stages.core.rerank import rerank
from stages.core.scoring import Scorer
from stages.core.withheld import told_ranking
from stages.files.rankings import RANKING_SCHEMA, rankings_table
from stages.files.tables import read_candidates
from stages.telemetry.latencies import Latencies
from stages.telemetry.telemetry import Telemetry, TimelinePoint

POLL_S = 1.0
# Queries at work for each request that may be under way: none waits for the last part of another.
QUERIES_A_PLACE = 2
Result = TypeVar("Result")


class HostedStream:
    """Reranks every query under `candidates` into `rankings`/part-00000.parquet; a few queries are read at a time.

    `scorers` gives the API's scorer and the one in front of it, in the event loop that asks. `stop` is asked before a
    query is begun. Raises what the scorer stopped of, with what is ranked kept.
    """

    def __init__(
        self, scorers: Callable[[], tuple[HostedScorer, Scorer]], candidates: Path, rankings: Path, *, quoting: bool
    ) -> None:
        self.progress = Progress(waits="waiting for the first request")
        self._scorers, self._candidates, self._quoting = scorers, candidates, quoting
        self._file = rankings / "part-00000.parquet"
        self._waiting: list[Ranking] = []
        self._pairs_waiting = 0
        self._latencies = Latencies()
        self._hosted: HostedScorer | None = None

    def finish(self, on_progress: Callable[[Progress, TimelinePoint], None], stop: Callable[[], bool]) -> StreamResult:
        started_s = time.time()
        telemetry = Telemetry({}, started_s)

        def tell() -> None:
            if self._hosted:
                waits = self._hosted.waits
                self.progress.waits = waits.held() if self.progress.queries else waits.told()
            on_progress(self.progress, telemetry.take([], time.time(), self.progress.queries, self.progress.pairs))

        in_a_thread(partial(self._run, stop), tell)
        tell()
        return StreamResult(started_s, time.time() - started_s, telemetry, self._latencies.told_ms())

    async def _run(self, stop: Callable[[], bool]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        hosted, scorer = self._scorers()
        self._hosted = hosted
        with pq.ParquetWriter(self._file, RANKING_SCHEMA) as writer:
            async with hosted:

                def ends() -> bool:
                    return stop() or hosted.stopped is not None

                await every_query(
                    self._candidates, hosted.places, lambda one: self._one(one, scorer, writer, ends), ends
                )
            self._write(writer)
        if hosted.stopped is not None:
            raise hosted.stopped

    async def _one(self, one: Candidates, scorer: Scorer, writer: pq.ParquetWriter, stop: Callable[[], bool]) -> None:
        began_s = time.perf_counter()
        (ranking,) = await rerank([one], scorer)
        if stop() and ranking.failed:
            return  # it may have failed for no other reason
        if ranking.store_hits < len(ranking.doc_ids):
            self._latencies.observe(time.perf_counter() - began_s)
        self._take(ranking, writer)

    def _take(self, ranking: Ranking, writer: pq.ParquetWriter) -> None:
        self._waiting.append(ranking if self._quoting else told_ranking(ranking))
        self._pairs_waiting += len(ranking.doc_ids)
        self.progress.queries += 1
        self.progress.pairs += len(ranking.doc_ids) - ranking.store_hits
        self.progress.failed_pairs += len(ranking.failed)
        if self._pairs_waiting >= PAIRS_AT_ONCE:
            self._write(writer)

    def _write(self, writer: pq.ParquetWriter) -> None:
        writer.write_table(rankings_table(self._waiting))
        self._waiting, self._pairs_waiting = [], 0


async def every_query(
    candidates: Path, places: Places, ask: Callable[[Candidates], Coroutine[Any, Any, None]], stop: Callable[[], bool]
) -> bool:
    """`ask` of each query, as many at once as there are places for requests, which may become more. False where `stop`
    came before the last one; what was begun is ended all the same. Raises what `ask` raises.
    """
    whole, at_work = True, set[asyncio.Task[None]]()
    try:
        for one in read_candidates(candidates):
            if stop():
                whole = False
                break
            at_work.add(asyncio.create_task(ask(one)))
            while len(at_work) >= QUERIES_A_PLACE * places.limit:
                at_work = await _some_done(at_work)
        while at_work:
            at_work = await _some_done(at_work)
    finally:
        for task in at_work:
            task.cancel()
    return whole


async def _some_done(at_work: set[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
    """Those that are left once one or more are done. Raises what one of these raised."""
    done, left = await asyncio.wait(at_work, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    return left


def in_a_thread(work: Callable[[], Awaitable[Result]], meanwhile: Callable[[], None] = lambda: None) -> Result:
    """What `work` gives, in an event loop of its own: a notebook's thread has one that runs. A signal to this thread
    ends it at once; `meanwhile` is called once a second.
    """
    done: Future[Result] = Future()
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = Future()

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        started.set_result((asyncio.get_running_loop(), task))
        try:
            done.set_result(await work())
        except BaseException as error:
            done.set_exception(error)

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="hosted", daemon=True)
    thread.start()
    try:
        while True:
            try:
                return done.result(timeout=POLL_S)
            except TimeoutError:
                if done.done():
                    raise
                meanwhile()
    except BaseException:
        if not done.done():
            loop, task = started.result()
            loop.call_soon_threadsafe(task.cancel)
        raise
    finally:
        thread.join()
