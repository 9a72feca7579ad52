"""What an engine's processes compute is counted from when it is ready, with the processes below the replica's own."""

from __future__ import annotations

import subprocess
import sys
import time

from serve_app.replica.processor_time import ProcessorTime

WORKING = """import time
began = time.process_time()
while time.process_time() - began < 0.3: pass
print('done', flush=True)"""


def test_it_counts_from_its_making_what_this_process_and_those_below_it_compute() -> None:
    idle = subprocess.Popen(
        [sys.executable, "-c", f"input()\n{WORKING}\ninput()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert idle.stdin is not None and idle.stdout is not None
    try:
        counted = ProcessorTime()
        before_s, own_s = counted.spent_s(), time.process_time()
        idle.stdin.write("\n")
        idle.stdin.flush()
        assert idle.stdout.readline() == "done\n"
        spent_s = counted.spent_s() - before_s
        assert spent_s >= 0.25, "the child's, in steps of a hundredth of a second"
        assert spent_s <= 0.3 + (time.process_time() - own_s) + 1.0
    finally:
        idle.kill()
        idle.wait()
    assert counted.spent_s() >= 0.25 + before_s, "what a process had computed when it ended stays counted"
