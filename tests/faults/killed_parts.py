"""A job on a cluster of two nodes, with a replica on each, that loses a part in mid-run.

Takes ten minutes on two cores: `python -m tests.faults.killed_parts [WHAT ...]`, where WHAT is one of `worker`,
`replica`, `engine`, `collector`, `node`. Exit code 1 where a claim does not hold.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import ray
from ray.cluster_utils import Cluster

from pipelines.base.config import load_config
from pipelines.job.console import JobConsole
from pipelines.job.run import run
from pipelines.runs.folder import RunFolder
from tests.faults.jobs import TINY_ENGINE, Claims, check_complete, metrics_of, wait_until, write_config, write_rows
from tests.tiny_models import make_tiny_qwen3

QUERIES, DOCUMENTS = 60, 50
NODE = {"num_cpus": 4, "object_store_memory": 200 << 20, "include_dashboard": False}
REPLICA, ENGINE, WORKER, COLLECTOR = "ServeReplica:rerank-", "EngineCore", "MapWorker", "ray::Collector"
RANKED_BYTES = 500  # of a rankings file that holds more than its header


@contextlib.contextmanager
def cluster_of(nodes: int) -> Iterator[Cluster]:
    cluster = Cluster(initialize_head=True, head_node_args=NODE)
    for _ in range(nodes - 1):
        cluster.add_node(**NODE)
    ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
    try:
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def ours(name: str) -> list[psutil.Process]:
    """The running processes of this script's cluster whose title holds `name`, the oldest first."""
    found = []
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if name in " ".join(one.cmdline()):
                found.append(one)
    return sorted(found, key=lambda one: one.create_time())


def kill_one(name: str) -> Callable[[Cluster], str]:
    def kill(_: Cluster) -> str:
        victim = ours(name)[-1]
        title = " ".join(victim.cmdline())
        victim.kill()
        return f"process {victim.pid}, {title[:60]}"

    return kill


def lose_node(cluster: Cluster) -> str:
    (node,) = cluster.worker_nodes
    cluster.remove_node(node, allow_graceful=False)
    return f"node {node.node_id[:8]}"


DAMAGES: dict[str, Callable[[Cluster], str]] = {
    "worker": kill_one(WORKER),
    "replica": kill_one(REPLICA),
    "engine": kill_one(ENGINE),
    "collector": kill_one(COLLECTOR),
    "node": lose_node,
}


class Jobs:
    """The same job on a cluster of two nodes, again and again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._model = str(make_tiny_qwen3(folder / "model"))
        self._data = write_rows(folder / "rows.jsonl", QUERIES, DOCUMENTS)

    def run(self, name: str) -> RunFolder:
        serve: dict[str, Any] = {"replicas": 2, "max_replicas_per_node": 1, "health_check_period_s": 1}
        model = {"name": self._model, "max_length": 512, "canaries": "finite"}
        config = write_config(
            self._folder / f"{name}.yaml",
            self._folder / name,
            data=self._data,
            model=model,
            engine=TINY_ENGINE,
            serve=serve,
            rerank={"batch_queries": 2},
        )
        return run(load_config(config), JobConsole(quiet=True))

    def disturb(self, claims: Claims, name: str) -> None:
        """Do the damage once the first rankings are written: all replicas are at work."""
        print(f"-- {name}")
        with cluster_of(2) as cluster:
            done: list[str] = []

            def damage() -> None:
                if wait_until(self._ranking_began(name), 300):
                    done.append(DAMAGES[name](cluster))

            thread = threading.Thread(target=damage, daemon=True)
            thread.start()
            started_s = time.monotonic()
            try:
                folder = self.run(name)
            except Exception as error:
                claims.check("the job ends well", False, f"{type(error).__name__}: {str(error)[:2000]}")
                return
            thread.join(60)
            claims.check("the damage was done", bool(done), done)
            claims.check("the job ends well", True, f"after {time.monotonic() - started_s:.0f} s")
            check_complete(claims, folder)
            print(f"        {metrics_of(folder)['throughput']}", flush=True)

    def _ranking_began(self, name: str) -> Callable[[], bool]:
        files = f"{name}/*/rankings/part-*"
        return lambda: any(file.stat().st_size > RANKED_BYTES for file in self._folder.glob(files))


def main() -> None:
    claims, wanted = Claims(), sys.argv[1:] or DAMAGES
    with tempfile.TemporaryDirectory() as name:
        jobs = Jobs(Path(name))
        for what in wanted:
            jobs.disturb(claims, what)
    sys.exit(claims.exit_code)


if __name__ == "__main__":
    main()
