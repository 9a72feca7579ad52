"""Hops 3 to 6 without an engine, Ray or a second look at the data: candidates are ranked as they are read, for as long
as the store knows the score of each pair.
"""

from __future__ import annotations

import time
from pathlib import Path

import pyarrow.parquet as pq

from pipelines.job.engine import JobEngine
from pipelines.job.progress import Progress, StreamResult
from stages.core.records import Candidates, Ranking
from stages.core.rerank import rank
from stages.core.withheld import told_ranking
from stages.files.rankings import RANKING_SCHEMA, rankings_table
from stages.telemetry.telemetry import Telemetry

# What is held before it is written.
PAIRS_AT_ONCE = 50_000


class StoredRankings:
    """Rankings of what `see` is given, in `folder`/part-00000.parquet; nothing is left there once a pair is unknown.

    `quoting` says whether the reasons of pairs that fail may quote a text.
    """

    def __init__(self, engine: JobEngine, folder: Path, *, quoting: bool) -> None:
        self.progress = Progress()
        self._engine, self._quoting = engine, quoting
        self._file = folder / "part-00000.parquet"
        self._writer: pq.ParquetWriter | None = None
        self._waiting: list[Ranking] = []
        self._pairs_waiting, self._seconds = 0, 0.0

    def see(self, candidates: Candidates) -> None:
        """Rank them, or have the engine started, which then scores what was ranked here as well."""
        if self._engine.needed:
            return
        began_s = time.perf_counter()
        try:
            scores = self._engine.see(candidates)
        except BaseException:
            self.drop()
            raise
        if scores is None:
            self.drop()
            return
        ranking = rank(candidates, scores)
        self._waiting.append(ranking if self._quoting else told_ranking(ranking))
        self._pairs_waiting += len(scores)
        if self._pairs_waiting >= PAIRS_AT_ONCE:
            self._write()
        self._seconds += time.perf_counter() - began_s

    def finish(self) -> StreamResult:
        """What it took: the seconds of looking up and ranking, among those of reading the data."""
        began_s = time.perf_counter()
        self._write()
        self._close()
        ended_s = time.time()
        self._seconds += time.perf_counter() - began_s
        telemetry = Telemetry({}, ended_s - self._seconds)
        telemetry.take([], ended_s, self.progress.queries, self.progress.pairs)
        return StreamResult(ended_s - self._seconds, self._seconds, telemetry)

    def _write(self) -> None:
        table = rankings_table(self._waiting)
        if self._writer is None:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._file, RANKING_SCHEMA)
        self._writer.write_table(table)
        self.progress.add(table)
        self._waiting, self._pairs_waiting = [], 0

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def drop(self) -> None:
        self._close()
        self._file.unlink(missing_ok=True)
        self._waiting = []
