"""The Ray cluster that a command works on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray

from pipelines.base.lean_ray import lean_ray
from stages.core.errors import EngineError, first_line

# Ray counts CPUs to schedule, not to compute: readers and workers mostly wait for the engine, and must always fit
# beside it.
CPUS_PER_REPLICA = 2


@contextlib.contextmanager
def connected(address: str | None, replicas: int = 1) -> Iterator[None]:
    """Connect to the Ray cluster at `address` or $RAY_ADDRESS; without either start a local one and stop it at the end.

    A local one gets the CPUs, as Ray counts them, for `replicas` engines and what feeds them. A process that is
    already connected (a submitted job, a test) keeps its connection.
    """
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS")
    local: dict[str, Any] = {
        "num_cpus": (os.cpu_count() or 1) + CPUS_PER_REPLICA * replicas,
        "include_dashboard": False,
    }
    if address:
        local = {}
    try:
        with contextlib.nullcontext() if address else lean_ray():
            ray.init(address=address or "local", log_to_driver=False, configure_logging=False, **local)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"the Ray cluster at {address}" if address else "a local Ray cluster"
        raise EngineError(f"cannot reach {where}: {first_line(error)}") from error
    try:
        yield
    finally:
        ray.shutdown()


def session_logs() -> Path | None:
    """Where the processes of the connected cluster write their logs on this machine; None when it runs elsewhere."""
    node = ray._private.worker._global_node
    return Path(node.get_logs_dir_path()) if node is not None else None
