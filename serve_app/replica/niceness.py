"""How far an engine stands back for other processes of its machine (man 7 sched: "the nice value").

Ray runs its workers at 15, where nobody says otherwise: beside one ordinary process on its core a worker at 15 gets a
thirtieth of it (weights 36 and 1024 of the kernel), one at 0 a half. A Ray that we start is told `serve.niceness`; in
one that somebody else started each replica takes it by itself, which the system allows to root alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

VARIABLE = "RAY_worker_niceness"
TASKS = Path("/proc/self/task")


def run_at(niceness: int) -> dict[str, Any]:
    """Run this process and what it starts at `niceness` above Ray's own process, its parent. Where that is not so the
    fact `niceness` is what the user should know.

    Whoever started Ray may have said how nice its workers are: that stays as it is.
    """
    mine, parents = os.getpriority(os.PRIO_PROCESS, 0), os.getpriority(os.PRIO_PROCESS, os.getppid())
    wanted = min(19, parents + niceness)
    if mine == wanted:
        return {}
    if VARIABLE in os.environ:
        told = f"the engine runs at niceness {mine}, as {VARIABLE} says where Ray was started, not at {wanted}"
        return {"niceness": told}
    try:
        for thread in _threads():  # of Linux each has a niceness of its own, and gives it to what it starts
            os.setpriority(os.PRIO_PROCESS, thread, wanted)
    except ProcessLookupError:  # one ended meanwhile
        return run_at(niceness)
    except PermissionError:
        told = f"the engine runs at niceness {mine}, not at {wanted}: other work on its machine goes first"
        return {"niceness": f"{told}. Start Ray with {VARIABLE}={niceness}"}
    return {}


def _threads() -> list[int]:
    """Of this process; its own number comes last, so that a try that was broken off is begun anew."""
    if not TASKS.is_dir():
        return [0]
    return sorted((int(one.name) for one in TASKS.iterdir()), reverse=True)
