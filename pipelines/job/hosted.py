"""Hops 3 to 6 where somebody else's model scores: in the job's own process, over HTTP, without an engine or Ray."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq

from pipelines.base.config import RunConfig
from pipelines.hosted.client import HostedScorer
from pipelines.hosted.endpoint import endpoint_of, identity_of
from pipelines.hosted.meter import Meter
from pipelines.job.engine import JobEngine
from pipelines.job.progress import Progress, StreamResult
from pipelines.job.stored import PAIRS_AT_ONCE
from serve_app.engine.models import ModelInfo
from stages.core.errors import EngineError, ScoringError
from stages.core.identity import ScoringIdentity
from stages.core.records import Candidates, PairScore, Ranking
from stages.core.rerank import rank_key, rerank
from stages.core.scoring import Scorer
from stages.core.withheld import told_ranking
from stages.files.rankings import RANKING_SCHEMA, rankings_table
from stages.files.tables import read_candidates
from stages.store.file import FILE_ERRORS
from stages.store.records import query_keys
from stages.store.scorer import ForgivingStore, StoredScorer
from stages.telemetry.latencies import Latencies
from stages.telemetry.telemetry import Telemetry, TimelinePoint

DAY_S = 24 * 60 * 60
POLL_S = 1.0
# Queries among which stored pairs are looked for, to ask for them again.
QUERIES_LOOKED_AT = 1000
# From here on it is no rounding: engines and batches move a score by less.
MOVED = 1e-3
Result = TypeVar("Result")


class HostedEngine(JobEngine):
    """A JobEngine whose engine is elsewhere: `start` starts nothing. It asks the server, when it is made, what it is.

    Raises ConfigError and EngineError.
    """

    def __init__(self, model: ModelInfo, config: RunConfig) -> None:
        self.endpoint = endpoint_of(config.model)
        self.meter = Meter(self.endpoint.shape, config.hosted)
        self.rechecked_pairs, self.largest_move = 0, None  # type: int, float | None
        super().__init__(model, config)
        self.identity = self._foreseen  # the server said so itself, whatever a store remembers

    def start(self) -> None:
        self.needed = True

    def scorer(self) -> tuple[HostedScorer, Scorer]:
        """The API's scorer, and what the job asks: the same behind the store."""
        store = self._store
        hosted = HostedScorer(self.endpoint, self.config.hosted, self.meter, self._keep if store else None)
        if store is None:
            return hosted, hosted
        return hosted, _AlreadyKept(hosted, store, self.identity.key, self.model.name)

    async def _keep(
        self, query: str, documents: Sequence[str], instruction: str | None, scores: list[PairScore]
    ) -> None:
        """What is paid for is kept at once: a query may take many requests, and the job be killed between two."""
        assert self._store is not None
        keys = query_keys(self.identity.key, instruction, query, documents)
        pairs = dict(zip(keys.pairs, scores, strict=True))
        await asyncio.to_thread(self._store.write, keys.query, pairs, self.identity.key, self.model.name)

    def recheck(self, candidates: Path) -> None:
        """Ask again for a few pairs of one query whose scores are stored, and note where these moved."""
        if self._store is None or not self.config.hosted.recheck_pairs:
            return
        if (found := self._some_stored(candidates)) is None:
            return
        one, texts, before = found
        try:
            after = in_a_thread(partial(self._asked_again, one, texts))
        except ScoringError as error:
            self.notes.append(f"stored scores could not be asked for again: {error}")
            return
        moves = [
            abs(rank_key(new) - rank_key(old)) for old, new in zip(before, after, strict=True) if new.error is None
        ]
        if not moves:
            self.notes.append(f"stored scores could not be asked for again: {after[0].error}")
            return
        self.rechecked_pairs, self.largest_move = len(moves), max(moves)
        if self.largest_move > MOVED:
            self.notes.append(
                f"scores moved: of {len(moves)} stored pairs that were asked for again one is off by "
                f"{self.largest_move:.3g}: the model behind {self.endpoint.host} is not what it was when they were "
                "stored. rerank.store_days 0 asks for all of them anew"
            )

    async def _asked_again(self, one: Candidates, texts: Sequence[str]) -> list[PairScore]:
        async with HostedScorer(self.endpoint, self.config.hosted, self.meter) as scorer:
            scores = await scorer.score(one.query, texts, one.instruction)
            if isinstance(scorer.stopped, EngineError):
                raise scorer.stopped
            return scores

    def _some_stored(self, candidates: Path) -> tuple[Candidates, list[str], list[PairScore]] | None:
        assert self._store is not None
        for one in islice(read_candidates(candidates), QUERIES_LOOKED_AT):
            keys = query_keys(self.identity.key, one.instruction, one.query, one.texts)
            known = self._store.lookup(keys)
            texts = {key: text for key, text in zip(keys.pairs, one.texts, strict=True) if key in known}
            if some := dict(islice(texts.items(), self.config.hosted.recheck_pairs)):
                return one, list(some.values()), [known[key] for key in some]
        return None

    def told(self) -> dict[str, Any]:
        """As metrics.json has it."""
        return {
            "url": self.endpoint.url,
            "api": self.endpoint.api,
            **self.meter.told(),
            "rechecked_pairs": self.rechecked_pairs,
            "largest_move": self.largest_move,
        }

    def _open_store(self) -> ForgivingStore | None:
        """Scores that are older than they may be are not there."""
        store = super()._open_store()
        if store is not None:
            store.since_s = oldest_used_s(self.config)
        return store

    def _foresee(self) -> ScoringIdentity:
        """As the server tells it now; a dry run, which asks nobody, finds it by what is known without."""
        told = in_a_thread(self._told_by_server)
        instruction = self.config.model.instruction
        identity, without = (identity_of(self.endpoint, instruction, one) for one in (told, {}))
        if self._store and not self._store.store.read_only:
            with contextlib.suppress(*FILE_ERRORS):  # a store that fails says so in the end
                self._store.store.remember(without.key, identity.key)
        return identity

    async def _told_by_server(self) -> dict[str, Any]:
        async with HostedScorer(
            self.endpoint, self.config.hosted, Meter(self.endpoint.shape, self.config.hosted)
        ) as one:
            return await one.tell()


class _AlreadyKept(StoredScorer):
    """Whose scorer keeps what it scores, request by request."""

    def _keep(self, scored: Any) -> None:
        del scored


class HostedStream:
    """Reranks every query under `candidates` into `rankings`/part-00000.parquet; a few queries are read at a time.

    `stop` is asked before a query is begun. Raises what the scorer stopped of, with what is ranked kept.
    """

    def __init__(self, engine: HostedEngine, candidates: Path, rankings: Path, *, quoting: bool) -> None:
        self.progress = Progress()
        self._engine, self._candidates, self._quoting = engine, candidates, quoting
        self._file = rankings / "part-00000.parquet"
        self._waiting: list[Ranking] = []
        self._pairs_waiting = 0
        self._latencies = Latencies()

    def finish(self, on_progress: Callable[[Progress, TimelinePoint], None], stop: Callable[[], bool]) -> StreamResult:
        started_s = time.time()
        telemetry = Telemetry({}, started_s)

        def tell() -> None:
            on_progress(self.progress, telemetry.take([], time.time(), self.progress.queries, self.progress.pairs))

        in_a_thread(partial(self._run, stop), tell)
        tell()
        return StreamResult(started_s, time.time() - started_s, telemetry, self._latencies.told_ms())

    async def _run(self, stop: Callable[[], bool]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        hosted, scorer = self._engine.scorer()
        queries = iter(read_candidates(self._candidates))
        with pq.ParquetWriter(self._file, RANKING_SCHEMA) as writer:
            async with hosted:
                # Twice as many queries as requests at once: none waits for the last part of another.
                workers = 2 * self._engine.config.hosted.concurrency
                worker = partial(self._work, queries, scorer, writer, lambda: stop() or hosted.stopped is not None)
                await asyncio.gather(*(worker() for _ in range(workers)))
            self._write(writer)
        if hosted.stopped is not None:
            raise hosted.stopped

    async def _work(
        self, queries: Iterator[Candidates], scorer: Scorer, writer: pq.ParquetWriter, stop: Callable[[], bool]
    ) -> None:
        for one in queries:
            if stop():
                return
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


def oldest_used_s(config: RunConfig) -> float:
    """When (Unix s) a score of a hosted model must have been stored to be used."""
    return time.time() - config.rerank.store_days * DAY_S


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
