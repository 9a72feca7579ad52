"""Where a job's engine will compute, as far as that can be known before any cluster is asked."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from serve_app.replica.gpus import nvidia_gpus
from serve_app.settings import DeploymentSettings

# What Ray also counts GPUs by, and on a Mac Apple's: an autoscaler's word, AMD's driver, the packages of Intel's and
# MetaX's.
OVERRIDES, AMD, PACKAGES = "RAY_OVERRIDE_RESOURCES", Path("/sys/class/kfd"), ("dpctl", "pymxsml")
# What a Mac's node has beside its GPU, which Ray counts and no engine computes on.
APPLE = re.compile(r"accelerator_type:M\d(-\w+)?")


def cluster_address(serve: DeploymentSettings) -> str | None:
    """That of the Ray cluster which the user names; None: one of this machine, started by the job that needs it."""
    return serve.ray_address or os.environ.get("RAY_ADDRESS") or None


def names_this_machine(address: str) -> bool:
    """Whether another machine would find another cluster under it."""
    host = address.rpartition("://")[2].rpartition(":")[0] or address
    return host in ("auto", "local", "localhost", "[::1]") or host.startswith("127.")


def in_cluster() -> bool:
    """Whether this process is connected to a Ray cluster. Imports nothing."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


def known_device(serve: DeploymentSettings) -> str | None:
    """cpu or cuda, where the config tells or this machine alone decides; None where a cluster has to be asked."""
    gpus: float | None = serve.gpus_per_replica
    if gpus is None:
        gpus = None if in_cluster() or cluster_address(serve) else local_gpus()
    return None if gpus is None else _device(gpus)


def cluster_device() -> str:
    """cpu or cuda, as the connected cluster has it."""
    import ray

    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    return _device(sum(_gpus_of(node["Resources"]) for node in nodes if node["Alive"]))


def _gpus_of(resources: Mapping[str, float]) -> float:
    return 0 if any(map(APPLE.fullmatch, resources)) else resources.get("GPU", 0)


def local_gpus() -> int | None:
    """How many GPUs a Ray started on this machine would count; None where only Ray itself can tell."""
    if sys.platform != "linux" or OVERRIDES in os.environ or AMD.exists() or any(map(find_spec, PACKAGES)):
        return None
    there, visible = nvidia_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return there
    return min(there, 0 if visible in ("", "NoDevFiles") else len(visible.split(",")))


def _device(gpus: float) -> str:
    return "cuda" if gpus else "cpu"
