#!/usr/bin/env bash
# Ray 2.60.0: an actor that has nothing to do wakes up a hundred times a second, to look for signals, whatever the number of
# actors. The interval is fixed: no setting reaches it. Each idle actor, and each idle worker, takes some half a percent of a core.
#
# A job with ten such processes beside a compute engine on two cores interrupts the engine's threads a thousand times a
# second; where these wait for each other after every layer, each interruption costs twice.
#
# Output seen:
#   ray 2.60.0: 4 idle actors, of whose main threads 4 woke 80 to 120 times a second
#   a Python process that sleeps: at most 5 times a second
set -euo pipefail
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT
cat > "$here/look.py" <<'PYTHON'
import os
import subprocess
import sys
import time
from pathlib import Path

import ray


@ray.remote(num_cpus=0)
class Idle:
    def pid(self) -> int:
        return os.getpid()


def woken(pid: int) -> int:
    told = Path(f"/proc/{pid}/task/{pid}/status").read_text()
    return int(told.split("\nvoluntary_ctxt_switches:")[1].split()[0])


ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
actors = [Idle.remote() for _ in range(4)]
pids = ray.get([actor.pid.remote() for actor in actors])
sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
time.sleep(3)
before, began = [woken(pid) for pid in [*pids, sleeper.pid]], time.monotonic()
time.sleep(10)
elapsed = time.monotonic() - began
rates = [(woken(pid) - was) / elapsed for pid, was in zip([*pids, sleeper.pid], before)]
sleeper.kill()
often = sum(80 <= rate <= 120 for rate in rates[:-1])
print(f"ray {ray.__version__}: {len(pids)} idle actors, of whose main threads {often} woke 80 to 120 times a second")
print(f"a Python process that sleeps: {'at most 5' if rates[-1] <= 5 else 'more than 5'} times a second")
PYTHON
python3 -m venv "$here/venv"
"$here/venv/bin/pip" --quiet --disable-pip-version-check install ray==2.60.0
seen=$("$here/venv/bin/python" "$here/look.py" 2>/dev/null)
echo "$seen"
expected='ray 2.60.0: 4 idle actors, of whose main threads 4 woke 80 to 120 times a second
a Python process that sleeps: at most 5 times a second'
[ "$seen" = "$expected" ] || { echo "changed: expected $expected"; exit 1; }
