"""What more nodes bring, and what limits them. The nodes are simulated on one machine and share its cores, so seconds
say little here: processor time by role, each node's share of the pairs and its idle time do.

Takes fifteen minutes on two cores: `python -m tests.faults.nodes [WHAT ...]`, where WHAT is `nodes` (one, two and three
of them share a job), `slow` (one of two is stopped half of the time) or `stream` (scoring that costs next to nothing
shows what the driver and the stream sustain). Exit code 1 where a claim does not hold.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from pipelines.job.stream import BATCHES_AT_ONCE
from tests.faults.jobs import TINY_ENGINE, Claims, Job, check_complete, latest, metrics_of, write_config, write_rows
from tests.faults.killed_parts import ENGINE, RANKED_BYTES, cluster_of, ours
from tests.faults.processor_time import ONCE, SAMPLE_S, Measured, Watch, listed, measured
from tests.tiny_models import make_tiny_qwen3

QUERIES, STREAM_QUERIES, DOCUMENTS, BATCH_QUERIES = 120, 4_000, 50, 2
ENOUGH = 2_000  # pairs/s that the stream must sustain on two cores, scoring included
IN_FLIGHT = BATCHES_AT_ONCE * BATCH_QUERIES  # queries of a worker, of which each replica has one


def watch(claims: Claims, job: Job, results: Path, meanwhile: Callable[[int], None]) -> Measured:
    """Follow the job to its end; `meanwhile` is called with a running number while it scores."""
    seen, began = Watch(), (0.0, 0)
    while job.process.poll() is None:
        seen.look()
        size = max((file.stat().st_size for file in results.glob("*/rankings/part-*")), default=0)
        if size > RANKED_BYTES:
            began = began if began[1] else (time.time(), size)
            meanwhile(len(seen.points))
        time.sleep(SAMPLE_S)
    claims.check("exit code 0", job.process.returncode == 0, job.process.returncode)
    if job.process.returncode:
        sys.exit(job.log.read_text(encoding="utf-8")[-3000:])
    folder = latest(results)
    check_complete(claims, folder)
    last = (folder.rankings / "part-00000.parquet").stat()
    left = 1 - began[1] / last.st_size  # of all pairs, those that were ranked since
    return measured(seen, began[0], last.st_mtime, metrics_of(folder)["coverage"]["pairs"] * left)


class Jobs:
    """Jobs on clusters of several sizes, with a replica on each node or with the stand-in."""

    def __init__(self, folder: Path, claims: Claims) -> None:
        self._folder, self._claims = folder, claims
        self._model = str(make_tiny_qwen3(folder / "model"))

    def run(
        self, name: str, nodes: int, queries: int, meanwhile: Callable[[int], None] = lambda _: None, **sections: Any
    ) -> Measured:
        data = write_rows(self._folder / f"rows-{queries}.jsonl", queries, DOCUMENTS)
        with cluster_of(nodes) as cluster:
            sections["serve"] = sections.get("serve", {}) | {"ray_address": cluster.address}
            results = self._folder / name
            config = write_config(self._folder / f"{name}.yaml", results, data=data, **sections)
            return watch(self._claims, Job(config, self._folder / f"{name}.log"), results, meanwhile)

    def with_engines(self, name: str, nodes: int, meanwhile: Callable[[int], None] = lambda _: None) -> Measured:
        serve = {"replicas": nodes, "max_replicas_per_node": 1, "health_check_period_s": 1}
        model = {"name": self._model, "max_length": 512, "canaries": "finite"}
        rerank = {"batch_queries": BATCH_QUERIES}
        return self.run(name, nodes, QUERIES, meanwhile, model=model, engine=TINY_ENGINE, serve=serve, rerank=rerank)


def has_cores_for(nodes: int) -> bool:
    """Whether each node has two cores to itself. Else their engines keep each other waiting, and shares and idle time
    say nothing of nodes that do not.
    """
    return (os.cpu_count() or 1) >= 2 * nodes


def nodes(claims: Claims, jobs: Jobs) -> None:
    """One, two and three nodes over the same job."""
    for count in (1, 2, 3):
        one = jobs.with_engines(f"nodes-{count}", count)
        one.tell(f"{count} nodes")
        claims.check("every node scores", len(one.shares) == count, len(one.shares))
        even = all(abs(share * count - 1) <= 0.2 for share in one.shares.values())
        if has_cores_for(count):
            claims.check("nodes share the pairs evenly, within a fifth", even, listed(one.shares, ".1%"))
            claims.check("no engine is idle for a tenth of the time", max(one.idle) < 0.1, max(one.idle))


def slow(claims: Claims, jobs: Jobs) -> None:
    """One of two engines is stopped at every other look."""

    def stop_and_go(turn: int) -> None:
        with contextlib.suppress(psutil.Error, IndexError):
            engine = ours(ENGINE)[0]
            (engine.suspend if turn % 2 else engine.resume)()

    one = jobs.with_engines("slow", 2, stop_and_go)
    one.tell("two nodes, one of them stopped half of the time")
    share = min(one.shares.values())
    if has_cores_for(2):
        claims.check("the slow one gets fewer pairs", share < 0.45, listed(one.shares, ".1%"))
    call_s = DOCUMENTS / (share * one.pairs / one.seconds)
    seen = f"{(one.tail_s or 0) / call_s:.1f} calls of the slow one, {call_s:.1f} s each"
    claims.check("the end waits for what the slow one has in hand", (one.tail_s or 0) < IN_FLIGHT * call_s, seen)


def stream(claims: Claims, jobs: Jobs) -> None:
    """The stand-in scores, so that all the rest is seen."""
    for workers in (1, 2, 4):
        one = jobs.run(f"stream-{workers}", 1, STREAM_QUERIES, model={"name": "overlap"}, rerank={"workers": workers})
        one.tell(f"no engine, {workers} workers")
        rate = one.pairs / one.seconds
        claims.check(f"the stream sustains {ENOUGH:,} pairs/s", rate >= ENOUGH, f"{rate:,.0f}")
        ceilings = {role: 1000 / one.per_1000(role) for role in ONCE if one.per_1000(role)}
        first = min(ceilings, key=lambda role: ceilings[role])
        print(f"        pairs/s at which one core is full: {listed(ceilings, ',.0f')}")
        print(
            f"        whatever the number of nodes, the {first} is full at {ceilings[first]:,.0f} pairs/s", flush=True
        )


WHAT: dict[str, Callable[[Claims, Jobs], None]] = {"nodes": nodes, "slow": slow, "stream": stream}


def main(wanted: Sequence[str]) -> None:
    claims = Claims()
    with tempfile.TemporaryDirectory() as name:
        jobs = Jobs(Path(name), claims)
        for what in wanted or WHAT:
            print(f"-- {what}")
            WHAT[what](claims, jobs)
    sys.exit(claims.exit_code)


if __name__ == "__main__":
    main(sys.argv[1:])
