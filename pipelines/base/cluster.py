"""The Ray cluster that a command works on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import ray
from ray._private import services

from pipelines.base.local_ray import local_ray
from pipelines.base.reachable import MEND, require_cluster
from stages.core.errors import EngineError, RerankEvalError, first_line


@contextlib.contextmanager
def connected(address: str | None, replicas: int = 1, niceness: int = 0) -> Iterator[None]:
    """Connect to the Ray cluster at `address` or $RAY_ADDRESS; without either start a local one and stop it at the end.

    A local one gets the CPUs, as Ray counts them, for `replicas` engines and what feeds them, and its workers run at
    `niceness` above this process. A process that is already connected (a submitted job, a test) keeps its connection.
    Raises EngineError or ConfigError where there is no such cluster, or a local one does not start.
    """
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    with contextlib.ExitStack() as held:
        if address == "local":
            held.enter_context(local_ray(replicas, niceness))
        else:
            _connect(address)
            held.callback(ray.shutdown)
        yield


def _connect(address: str) -> None:
    try:
        if address == "auto":  # a file may still name one that is gone
            address = services.get_ray_address_from_environment(address, None)
        require_cluster(address)
        ray.init(address=address, log_to_driver=False, configure_logging=False)
    except RerankEvalError:
        raise
    except Exception as error:  # whatever Ray raises: a version, a token, a head that is going down
        reason = first_line(error).rstrip(".")
        raise EngineError(f"cannot reach the Ray cluster at {address}: {reason}. {MEND}") from error


def session_logs() -> Path | None:
    """Where the processes of the connected cluster write their logs on this machine; None when it runs elsewhere."""
    node = ray._private.worker._global_node
    return Path(node.get_logs_dir_path()) if node is not None else None
