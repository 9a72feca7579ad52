"""An engine's niceness, of real processes: a worker of Ray is at 15 under a raylet at 0."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
WORKER = """
import json, os, sys, threading
from serve_app.replica.niceness import run_at
stop = threading.Event()
started = [threading.Thread(target=stop.wait) for _ in range(3)]
for one in started: one.start()
os_nice = [os.setpriority(os.PRIO_PROCESS, int(one), 15) for one in os.listdir("/proc/self/task")]
if len(sys.argv) > 2: os.setgid(12345), os.setuid(12345)
told = run_at(int(sys.argv[1]))
threads = sorted({os.getpriority(os.PRIO_PROCESS, int(one)) for one in os.listdir("/proc/self/task")})
print(json.dumps({"told": told, "threads": threads}))
stop.set()
"""


def worker(*arguments: str, **environment: str) -> dict[str, object]:
    """A process at 15 whose parent, this one, is as a raylet is, tries to run at what is asked."""
    kept = {name: value for name, value in os.environ.items() if name != "RAY_worker_niceness"}
    done = subprocess.run(
        [sys.executable, "-c", WORKER, *arguments],
        cwd=ROOT,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    told: dict[str, object] = json.loads(done.stdout)
    return told


def ours(more: int) -> int:
    return min(19, os.getpriority(os.PRIO_PROCESS, 0) + more)


@pytest.mark.skipif(os.getuid() != 0, reason="the system lets root alone lower a niceness")
@pytest.mark.parametrize("niceness", [0, 5])
def test_each_of_its_threads_runs_at_so_much_above_its_parent(niceness: int) -> None:
    assert worker(str(niceness)) == {"told": {}, "threads": [ours(niceness)]}


def test_what_whoever_started_ray_says_stays_and_is_told_where_it_is_another() -> None:
    told = worker("0", RAY_worker_niceness="15")
    assert told["threads"] == [15]
    assert "the engine runs at niceness 15, as RAY_worker_niceness says" in str(told["told"])
    assert worker(str(15 - ours(0)), RAY_worker_niceness="15")["told"] == {}


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user, which root alone can")
def test_a_user_to_whom_the_system_denies_it_is_told_how_to_have_it() -> None:
    told = worker("0", "as another user")
    assert told["threads"] == [15]
    assert str(told["told"]).count("Start Ray with RAY_worker_niceness=0") == 1
