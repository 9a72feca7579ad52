"""What an application of engines is made of, and what of it Ray Serve is told."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any, ClassVar, Protocol

from serve_app.replica.hosting import EngineReplica
from serve_app.settings import DeploymentSettings, EngineSettings

ROUTER = "serve_app.replica.routing:PrefixRouter"
# A broken model or setting fails the same way every time; one more try covers a port or memory that was just freed.
START_ATTEMPTS = 2
QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


class HostedSettings(Protocol):
    """All that decides what an application is: two jobs with equal settings share one. `deployed` is what its replicas
    are called.
    """

    deployed: ClassVar[str]

    @property
    def engine(self) -> EngineSettings: ...

    @property
    def deployment(self) -> DeploymentSettings: ...

    @property
    def name(self) -> str:
        """The chosen name, or a digest of the settings behind what kind of application it is."""
        ...

    def replica(self) -> tuple[type[EngineReplica], tuple[Any, ...]]:
        """The class of its replicas, and what each is made with, but for its Place."""
        ...


def application_name(kind: str, deployment: DeploymentSettings, parts: Sequence[str]) -> str:
    """The chosen name, or the kind of application and a digest of these parts and the deployment's."""
    if deployment.application:
        return deployment.application
    shared = deployment.model_dump_json(exclude={"ray_address", "start_timeout_s", "retry_for_s", "http"})
    return f"{kind}-" + hashlib.sha256("\n".join((*parts, shared)).encode()).hexdigest()[:12]


def deployment_options(settings: HostedSettings, gpus_in_cluster: bool) -> dict[str, Any]:
    """Arguments of `serve.deployment`. Tensor parallelism puts all GPUs of a replica on one node, in one actor."""
    ours = settings.deployment
    gpus = ours.gpus_per_replica
    if gpus is None:
        gpus = settings.engine.tensor_parallel if gpus_in_cluster else 0
    actor: dict[str, Any] = {
        "num_cpus": ours.cpus_per_replica,
        "num_gpus": gpus,
        "runtime_env": {"env_vars": {name: os.environ.get(name, value) for name, value in QUIET.items()}},
    }
    if ours.accelerator_type:
        actor["accelerator_type"] = ours.accelerator_type
    options: dict[str, Any] = {
        "name": settings.deployed,
        "ray_actor_options": actor,
        "max_ongoing_requests": ours.max_ongoing_queries,
        "health_check_period_s": ours.health_check_period_s,
        "health_check_timeout_s": ours.health_check_timeout_s,
        "graceful_shutdown_timeout_s": ours.graceful_shutdown_timeout_s,
        "max_constructor_retry_count": START_ATTEMPTS,
        "request_router_config": {"request_router_class": ROUTER},
        "max_surge_percent": 100 if ours.surge else 0,
    }
    if ours.grows:
        options["autoscaling_config"] = {
            "min_replicas": ours.replicas,
            "max_replicas": ours.max_replicas,
            "target_ongoing_requests": ours.target_calls,
        }
    else:
        options["num_replicas"] = ours.replicas
    if ours.max_replicas_per_node:
        options["max_replicas_per_node"] = ours.max_replicas_per_node
    return options
