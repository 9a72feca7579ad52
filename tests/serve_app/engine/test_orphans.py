"""A killed process takes its children with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PARENT = """
import subprocess, sys, time
from serve_app.engine.orphans import die_together
guard = die_together()
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, guard.pid, flush=True)
time.sleep(600)
"""


def is_alive(process_id: int) -> bool:
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_children_and_guard_end_with_a_killed_parent(how: signal.Signals) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child, guard = map(int, parent.stdout.readline().split())
    assert is_alive(child)
    os.kill(parent.pid, how)
    parent.wait()
    deadline = time.monotonic() + 60
    while (is_alive(child) or is_alive(guard)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(child)
    assert not is_alive(guard)
