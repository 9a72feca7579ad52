"""A service beside other work of the machine: beside a busy process on each core it has its half, and beside far more
its parts are slow, and none is taken for dead. And a job that is started there ends with its results or in one line.

Takes ten minutes: `python -m tests.faults.busy_machine [--processes 60] [--runnable 40] [--seconds 60]`. Exit code 1
where a claim does not hold. Replicas have 10 s to answer Serve instead of 60: what holds there holds in the long run.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from stages.telemetry.cores import usable_cores
from tests.faults.hostile_client import CONFIG, WARM_UP_S, traffic
from tests.faults.jobs import ROOT, Claims
from tests.faults.services import CONTROLLER, PROXY, REPLICA, service

CLIENTS = 8
LEAST_SHARE = 0.5  # of its undisturbed rate, where each core has one more process that never waits
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


def beside(claims: Claims, folder: Path, processes: int, seconds: float) -> None:
    """A service, undisturbed, beside a process on each core, and beside many."""
    with service(CONFIG, folder, *STRICT) as running:
        before = {name: running.processes(name) for name in (REPLICA, PROXY, CONTROLLER)}
        rates = {}
        traffic(running.url, CLIENTS, WARM_UP_S)
        for others in (0, len(usable_cores()), processes):
            with crowd(others):
                seen = traffic(running.url, CLIENTS, seconds)
            rates[others] = len(seen.seconds) / seconds
            print(f"        beside {others} others: {seen.told(seconds)}", flush=True)
            claims.check("each request is answered", set(seen.statuses) == {200}, dict(seen.statuses))
        share = rates[len(usable_cores())] / rates[0]
        claims.check(
            "beside a process on each core it keeps half its rate", share >= LEAST_SHARE, f"{share:.2f} of its rate"
        )
        after = {name: running.processes(name) for name in before}
        replaced = {name: len(after[name].keys() - before[name].keys()) for name in before}
        claims.check("no process of the service was replaced", after == before, replaced)


def started_beside(claims: Claims, folder: Path, runnable: int) -> None:
    """A job that is started where so many processes run."""
    command = [sys.executable, "-m", "pipelines", "run", "--config", "demo", "--set", "data.limit=5"]
    command += ["--set", "tracking.uri=null"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    began_s = time.monotonic()
    with crowd(runnable):
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    told = f"exit code {done.returncode} after {time.monotonic() - began_s:.0f} s: {done.stderr[:300]!r}"
    lines = done.stderr.splitlines()
    fine = (done.returncode, lines) == (0, []) or (done.returncode != 0 and len(lines) == 1)
    claims.check(f"a job that is started beside {runnable} processes ends with its results or in one line", fine, told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=60)
    parser.add_argument("--runnable", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    claims = Claims()
    with tempfile.TemporaryDirectory() as folder:
        beside(claims, Path(folder), options.processes, options.seconds)
        started_beside(claims, Path(folder), options.runnable)
    sys.exit(claims.exit_code)


if __name__ == "__main__":
    main()
