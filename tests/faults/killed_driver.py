"""A job whose process is killed at 30, 60 and 90 % ends, by the same command, as if nothing had happened.

Takes ten minutes on two cores: `python -m tests.faults.killed_driver`. Exit code 1 where a claim does not hold.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from pipelines.job.stream import BATCHES_AT_ONCE
from stages.core.errors import DataError
from stages.files.rankings import read_rankings
from stages.store.store import ScoreStore
from tests.faults.jobs import (
    EPQA,
    TINY_ENGINE,
    Claims,
    Job,
    check_complete,
    compare,
    distinct_pairs,
    latest,
    metrics_of,
    wait_until,
    write_config,
)
from tests.tiny_models import make_tiny_qwen3

QUERIES, MORE_QUERIES = 300, 360
KILL_AT = (0.3, 0.6, 0.9)
IN_FLIGHT = BATCHES_AT_ONCE * 8 * 10  # batches of a worker, queries of a batch, documents
LEFT_OVER_AFTER_S = 20.0


class Runs:
    """The same job as often as one likes: its results in `name`, its scores in `name`-store."""

    def __init__(self, folder: Path, model: Path, name: str) -> None:
        self.results, self.store, self.log = folder / name, folder / f"{name}-store", folder / f"{name}.log"
        self._folder, self._model = folder, model

    def start(self, limit: int = QUERIES) -> Job:
        data = {"format": "beir", "path": str(EPQA), "run": str(EPQA / "runs" / "bm25.trec"), "limit": limit}
        config = write_config(
            self._folder / f"{self.results.name}-{limit}.yaml",
            self.results,
            data=data,
            model={"name": str(self._model), "max_length": 512, "canaries": "finite"},
            engine=TINY_ENGINE,
            rerank={"store": str(self.store)},
        )
        return Job(config, self.log)

    def finish(self, claims: Claims, limit: int = QUERIES) -> dict[str, object]:
        """Run it to its end; gives `throughput` of its metrics."""
        job = self.start(limit)
        claims.check("exit code 0", job.finish() == 0, f"after {time.monotonic() - job.started_s:.0f} s")
        if job.process.returncode:
            sys.exit(self.log.read_text(encoding="utf-8")[-3000:])
        throughput: dict[str, object] = metrics_of(latest(self.results))["throughput"]
        return throughput

    def kept(self) -> int:
        """How many scores the store holds."""
        try:
            store = ScoreStore(self.store, read_only=True)
        except DataError:
            return 0
        try:
            return store.count()
        finally:
            store.close()


def kill_at(claims: Claims, runs: Runs, pairs: float) -> int:
    """Start the job, kill its process once so many pairs are kept; gives how many then are."""
    job = runs.start()
    reached = wait_until(lambda: runs.kept() >= pairs or job.process.poll() is not None, 600)
    job.kill()
    killed_s = time.monotonic()
    claims.check("killed while at work", reached and job.process.returncode == -9, f"at {runs.kept():,} pairs")
    left = job.left_over(LEFT_OVER_AFTER_S)
    claims.check("no process of it is left", not left, left or f"after {time.monotonic() - killed_s:.1f} s")
    return runs.kept()


def main() -> None:
    if not EPQA.is_dir():
        sys.exit(f"skipped: {EPQA} is not there")
    claims = Claims()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = make_tiny_qwen3(folder / "model")
        calm, killed = Runs(folder, model, "undisturbed"), Runs(folder, model, "killed")
        print(f"undisturbed: {calm.finish(claims)}")
        distinct = distinct_pairs(latest(calm.results))
        kept = [kill_at(claims, killed, share * distinct) for share in KILL_AT]
        rest = killed.finish(claims)
        print(f"distinct pairs {distinct:,}, kept at the kills {kept}, last run: {rest}")
        more = kept[-1] + int(str(rest["scored_pairs"])) - distinct
        claims.check("no pair was paid for twice but those in flight", more <= IN_FLIGHT * len(KILL_AT), more)
        claims.check("the store holds every pair once", killed.kept() == distinct, f"{killed.kept():,}")
        check_complete(claims, latest(killed.results))
        check_same(claims, calm, killed)
        check_reuse(claims, killed, distinct)
    sys.exit(claims.exit_code)


def check_same(claims: Claims, calm: Runs, killed: Runs) -> None:
    """bfloat16 scores depend a little on what else was in the batch: documents may swap within that noise."""
    rankings = [list(read_rankings(latest(runs.results).rankings)) for runs in (calm, killed)]
    orders, noise, swapped = compare(*rankings)
    seen = f"largest difference of a logit {noise:.3g}, orders that differ {orders} of {len(rankings[0])}, "
    claims.check("the rankings are the same but for noise", swapped <= 2 * noise, seen + f"over {swapped:.3g}")


def check_reuse(claims: Claims, runs: Runs, distinct: int) -> None:
    again = runs.finish(claims)
    engines = list(latest(runs.results).logs.glob("engine-*"))
    claims.check("the same job again scores nothing", again["scored_pairs"] == 0, again)
    claims.check("and starts no engine", not engines, engines or "no log of one")
    more = runs.finish(claims, MORE_QUERIES)
    new = distinct_pairs(latest(runs.results)) - distinct
    claims.check("with more queries it scores the new pairs alone", more["scored_pairs"] == new, f"{new:,} new; {more}")


if __name__ == "__main__":
    main()
