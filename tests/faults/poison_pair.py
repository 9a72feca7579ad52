"""A pair that kills a real engine, among others that are scored at the same time.

Takes six minutes on two cores: `python -m tests.faults.poison_pair`. Exit code 1 where a claim does not hold.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil

from pipelines.base.cluster import connected
from serve_app.engine.models import describe
from serve_app.replica.app import AppSettings, RunningApp, reranker_handle
from serve_app.replica.client import ServedScorer
from serve_app.settings import DeploymentSettings, EngineSettings, ModelSettings
from stages.core.columns import Columns
from stages.core.records import Asked, PairScore
from stages.core.scoring import required
from tests.faults.jobs import TINY_ENGINE, Claims
from tests.tiny_models import make_tiny_qwen3

KILLER = "the document that kills"
QUERIES, DOCUMENTS, KILLED_QUERY, KILLER_PLACE = 6, 100, 2, 57
AT_WORK_AFTER_S = 1.0  # by then the call has reached the engine


class KillingHandle:
    """The real handle, but that the engine's process is killed while a call with the killer is at work."""

    def __init__(self, handle: Any) -> None:
        self.deaths, self._handle = 0, handle
        self.score_batch = SimpleNamespace(remote=self._remote)

    async def _remote(self, batch: Sequence[Asked], identity: str | None) -> Columns:
        if not any(KILLER in asked.documents for asked in batch):
            return await self._ask(batch)
        await self._ask([Asked("is an engine up?", ("yes",))])  # one that only starts must not be killed
        running = engines()
        for engine in running:
            engine.suspend()  # so that nothing is answered before the kill
        call = asyncio.ensure_future(self._ask(batch))
        await asyncio.sleep(AT_WORK_AFTER_S)
        for engine in running:
            engine.kill()
        self.deaths += bool(running)
        return await call

    async def _ask(self, batch: Sequence[Asked]) -> Columns:
        columns: Columns = await self._handle.score_batch.remote(list(batch))
        return columns


def engines() -> list[psutil.Process]:
    found = []
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "EngineCore" in " ".join(one.cmdline()) and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one)
    return found


def settings(model: Path) -> AppSettings:
    prompt = ModelSettings(name=str(model), max_length=512)
    deployment = DeploymentSettings(health_check_period_s=1)
    return AppSettings(describe(prompt), prompt, EngineSettings(**TINY_ENGINE), deployment)  # type: ignore[arg-type]


async def score_all(scorer: ServedScorer) -> list[list[PairScore]]:
    """In batches of two, so that the killer's one has another query in it."""
    batch = []
    for query in range(QUERIES):
        documents = [f"document {place} of query {query}, on a calm sea" for place in range(DOCUMENTS)]
        if query == KILLED_QUERY:
            documents[KILLER_PLACE] = KILLER
        batch.append(Asked(f"query {query}", tuple(documents)))
    outcomes = await asyncio.gather(*(scorer.score_batch(batch[start : start + 2]) for start in range(0, QUERIES, 2)))
    return [required(outcome) for some in outcomes for outcome in some]


def main() -> None:
    claims = Claims()
    with tempfile.TemporaryDirectory() as folder, connected(None, replicas=1):
        app = RunningApp(settings(make_tiny_qwen3(Path(folder))))
        app.wait_until_ready()
        handle, started_s = KillingHandle(reranker_handle(app.name)), time.monotonic()
        results = asyncio.run(score_all(ServedScorer(handle, retry_for_s=300)))
        took_s, starts = time.monotonic() - started_s, len(app.replicas())
        app.stop()
    failed = {
        (query, place): pair.error
        for query, pairs in enumerate(results)
        for place, pair in enumerate(pairs)
        if pair.error
    }
    claims.check("the killer alone fails", failed.keys() == {(KILLED_QUERY, KILLER_PLACE)}, failed)
    scored = sum(pair.score is not None for pairs in results for pair in pairs)
    claims.check("all others are scored", scored == QUERIES * DOCUMENTS - 1, f"{scored} of {QUERIES * DOCUMENTS}")
    print(f"{handle.deaths} deaths, {starts} engine starts, {took_s:.0f} s")
    sys.exit(claims.exit_code)


if __name__ == "__main__":
    main()
