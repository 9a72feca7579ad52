"""The engine that a config describes, with its score store in front, as a harness asks it: pairs in, numbers out."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.base.config import RunConfig
from pipelines.base.logs import libraries_log_to
from pipelines.job.connection import LateCluster
from pipelines.job.console import JobConsole
from pipelines.job.device import known_device
from pipelines.job.engine import JobEngine
from serve_app.engine.identity import foresee_identity
from serve_app.engine.models import describe
from serve_app.engine.procedure import require_procedure
from stages.core.errors import ScoringError
from stages.core.records import Asked, Candidates, Outcome, PairScore
from stages.core.rerank import fault, rank_key
from stages.core.scoring import Scorer, score_batch
from stages.core.words import counted

# Calls at work: with one, the engine runs dry while the last queries of it come back.
CALLS_AT_ONCE = 3


class EngineScores:
    """PairScores of a config's engine, which starts with the first pair that `rerank.store` lacks; `close` stops it.

    The sections `model`, `engine`, `serve` and `rerank` count: what is scored the harness says.
    """

    needs_texts = True

    def __init__(self, config: RunConfig, *, quiet: bool) -> None:
        """Raises ConfigError where the model cannot be used."""
        self._model = describe(config.model, config.engine.backend)
        require_procedure(self._model, config.model)
        self._config, self._console = config, JobConsole.for_python(quiet=quiet)
        self.name: str = self._model.name
        self.max_length: int | None = self._model.max_length
        foreseen = foresee_identity(self._model, config.model, config.engine, known_device(config.serve) or "cpu")
        self.revision = foreseen.digest
        self._engine: JobEngine | None = None
        self._scorer: Scorer | None = None
        self._open = contextlib.ExitStack()

    def score(self, batch: Sequence[Candidates]) -> list[list[float]]:
        engine = self._engine or self._opened()
        outcomes: Sequence[Outcome] | None = None if engine.needed else self._stored(engine, batch)
        if outcomes is None:
            # All of them, as a job does: those that are stored may be so as another engine scored them.
            outcomes = self._ask(engine, batch)
        return [_keys(one, outcome) for one, outcome in zip(batch, outcomes, strict=True)]

    def close(self) -> None:
        self._open.close()

    def _opened(self) -> JobEngine:
        """The job's own engine, which starts nothing before a pair is missing."""
        with contextlib.ExitStack() as opening:
            opening.callback(self._forget)
            self._logs = Path(tempfile.mkdtemp(prefix="rerank-eval-interop-"))
            cluster = opening.enter_context(LateCluster(self._config.serve))
            with libraries_log_to(self._logs):
                engine = JobEngine(self._model, self._config, cluster.connect)
            opening.callback(self._stop, engine)
            self._loop = opening.enter_context(_loop_of_its_own())
            self._open = opening.pop_all()
        self._engine = engine
        return engine

    def _forget(self) -> None:
        self._engine = self._scorer = None

    def _stop(self, engine: JobEngine) -> None:
        engine.stop()
        self._console.notes(*engine.notes)

    def _stored(self, engine: JobEngine, batch: Sequence[Candidates]) -> list[list[PairScore]] | None:
        """What the store knows, if it knows all; else None, and the engine is started."""
        outcomes = []
        with libraries_log_to(self._logs):
            for one in batch:
                if (known := engine.see(one)) is None:
                    return None
                outcomes.append(known)
        return outcomes

    def _ask(self, engine: JobEngine, batch: Sequence[Candidates]) -> list[Outcome]:
        if self._scorer is None:
            with libraries_log_to(self._logs), self._console.starting(engine.phase):
                engine.wait_until_ready()
            self._scorer = engine.make_scorer()()
        asked = [Asked(one.query, one.texts, one.instruction) for one in batch]
        with self._console.working(f"scoring {counted(sum(len(one.texts) for one in batch), 'pair')}"):
            calls = asyncio.run_coroutine_threadsafe(self._in_calls(self._scorer, asked), self._loop)
            try:
                return calls.result()
            except BaseException:  # Ctrl-C: what is at work ends, and what was scored is stored
                calls.cancel()
                raise

    async def _in_calls(self, scorer: Scorer, asked: Sequence[Asked]) -> list[Outcome]:
        """Of `rerank.batch_queries` each, as the job's are."""
        size, places = self._config.rerank.batch_queries, asyncio.Semaphore(CALLS_AT_ONCE)

        async def call(some: Sequence[Asked]) -> list[Outcome]:
            async with places:
                return await score_batch(scorer, some)

        calls = [call(asked[start : start + size]) for start in range(0, len(asked), size)]
        return [outcome for outcomes in await asyncio.gather(*calls) for outcome in outcomes]


@contextlib.contextmanager
def _loop_of_its_own() -> Iterator[asyncio.AbstractEventLoop]:
    """An event loop in a thread: a notebook's thread has one that runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="interop", daemon=True)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _keys(one: Candidates, outcome: Outcome) -> list[float]:
    """What ranks each document. Raises ScoringError for the first that has none."""
    if isinstance(outcome, ScoringError):
        raise outcome
    return [_key(one, place, pair) for place, pair in enumerate(outcome)]


def _key(one: Candidates, place: int, pair: PairScore) -> float:
    if reason := fault(pair):
        raise ScoringError(f"query {one.query!r:.80}, document {one.texts[place]!r:.80} has no score: {reason}")
    return rank_key(pair)
