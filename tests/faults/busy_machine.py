"""A service on a machine with far more to do than it has cores for: its parts are slow, and none is taken for dead.

Takes four minutes: `python -m tests.faults.busy_machine [--processes 60] [--seconds 120]`. Exit code 1 where a claim
does not hold. Replicas have 10 s to answer Serve instead of 60: what holds there holds in the long run.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.faults.hostile_client import CONFIG, traffic
from tests.faults.jobs import Claims
from tests.faults.services import CONTROLLER, PROXY, REPLICA, service

CLIENTS = 8
STRICT = ("serve.health_check_period_s=2", "serve.health_check_timeout_s=10", "serve.http.deadline_s=300")


def spin() -> None:
    while True:
        pass


@contextlib.contextmanager
def crowd(size: int) -> Iterator[None]:
    """So many processes that never wait."""
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=spin, daemon=True) for _ in range(size)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=120)
    options = parser.parse_args()
    claims = Claims()
    with tempfile.TemporaryDirectory() as folder, service(CONFIG, Path(folder), *STRICT) as running:
        before = {name: running.processes(name) for name in (REPLICA, PROXY, CONTROLLER)}
        with crowd(options.processes):
            seen = traffic(running.url, CLIENTS, options.seconds)
        print(f"        beside {options.processes} others: {seen.told(options.seconds)}", flush=True)
        claims.check("each request is answered", set(seen.statuses) == {200}, dict(seen.statuses))
        after = {name: running.processes(name) for name in before}
        replaced = {name: len(after[name].keys() - before[name].keys()) for name in before}
        claims.check("no process of the service was replaced", after == before, replaced)
    sys.exit(claims.exit_code)


if __name__ == "__main__":
    main()
