"""How many cores this process may use: what it may run on, and what its control group grants, not what the host has.

A container of 2 CPUs on a machine of 192 sees all 192 and is stopped for the rest of each period once it has used its
quota: so many threads are slower than two.
"""

from __future__ import annotations

import contextlib
import math
import os

from stages.telemetry.control_group import ControlGroup


def usable_cores() -> list[int]:
    """The cores that this process may run on (its affinity), by their numbers."""
    with contextlib.suppress(AttributeError, OSError):  # macOS has no affinity
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def core_share(group: ControlGroup | None = None) -> int:
    """How many threads that compute have room: the usable cores, or the quota of `group` (this process's), rounded up,
    where that is less. At least 1.
    """
    quota = (group or ControlGroup()).quota_cores()
    cores = len(usable_cores())
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))
