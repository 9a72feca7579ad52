"""Settings -> Serve application: its name, its options, and its life on a cluster."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass
from typing import Any

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import ApplicationStatus, ServeStatus

from serve_app.collector import collector_of, stop_collector
from serve_app.deployment import RerankReplica
from serve_app.models import ModelInfo
from serve_app.settings import DeploymentSettings, EngineSettings, ModelSettings
from stages.errors import EngineError

POLL_S = 0.25
# A broken model or setting fails the same way every time; one more try covers a port or memory that was just freed.
START_ATTEMPTS = 2
QUIET = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


@dataclass(frozen=True, slots=True)
class AppSettings:
    """All that decides what an application is: two jobs with equal settings share one."""

    model: ModelInfo
    prompt: ModelSettings
    engine: EngineSettings
    deployment: DeploymentSettings

    @property
    def name(self) -> str:
        """`rerank-` and a digest of the settings."""
        shared = self.deployment.model_dump_json(exclude={"ray_address", "start_timeout_s", "retry_for_s"})
        parts = (repr(self.model), self.prompt.model_dump_json(), self.engine.model_dump_json(), shared)
        return "rerank-" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def build_app(settings: AppSettings) -> serve.Application:
    """The Serve application of these settings, not yet running."""
    deployment = serve.deployment(**deployment_options(settings, _cluster_has_gpus()))(RerankReplica)
    replicas = settings.deployment.replicas
    here = min(replicas, settings.deployment.max_replicas_per_node or replicas)
    bound: serve.Application = deployment.bind(settings.model, settings.prompt, settings.engine, settings.name, here)
    return bound


def deployment_options(settings: AppSettings, gpus_in_cluster: bool) -> dict[str, Any]:
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
        "name": "reranker",
        "num_replicas": ours.replicas,
        "ray_actor_options": actor,
        "max_ongoing_requests": ours.max_ongoing_queries,
        "health_check_period_s": ours.health_check_period_s,
        "health_check_timeout_s": ours.health_check_timeout_s,
        "graceful_shutdown_timeout_s": ours.graceful_shutdown_timeout_s,
        "max_constructor_retry_count": START_ATTEMPTS,
    }
    if ours.max_replicas_per_node:
        options["max_replicas_per_node"] = ours.max_replicas_per_node
    return options


class RunningApp:
    """An application on the connected Ray cluster: started by us, or found there. `stop` takes down only what we
    started.
    """

    def __init__(self, settings: AppSettings) -> None:
        self.settings = settings
        self.name = settings.name
        status = serve.status().applications.get(self.name) if _serve_runs() else None
        self.started_here = status is None or status.status not in (
            ApplicationStatus.RUNNING,
            ApplicationStatus.DEPLOYING,
        )
        if self.started_here:
            serve.start(proxy_location="Disabled")
            target = serve.RunTarget(build_app(settings), name=self.name, route_prefix=None)
            serve.run_many([target], wait_for_applications_running=False, wait_for_ingress_deployment_creation=False)

    def wait_until_ready(self) -> DeploymentHandle[RerankReplica]:
        """Block until every replica's engine answers. Raises EngineError with the engine's own reason."""
        deadline = time.monotonic() + self.settings.deployment.start_timeout_s
        while time.monotonic() < deadline:
            status = serve.status()
            app = status.applications.get(self.name)
            if app is not None and app.status == ApplicationStatus.RUNNING:
                return serve.get_app_handle(self.name)
            if app is not None and app.status in (ApplicationStatus.DEPLOY_FAILED, ApplicationStatus.UNHEALTHY):
                raise EngineError(f"the engine did not start: {_reason(status, self.name)}")
            time.sleep(POLL_S)
        raise EngineError(
            f"the engine did not start within serve.start_timeout_s {self.settings.deployment.start_timeout_s:g}: "
            f"{_reason(serve.status(), self.name)}"
        )

    def replicas(self) -> list[dict[str, Any]]:
        """What each replica that ever started says of itself: `process_id`, and once its engine runs `dtype`,
        `device` ...
        """
        facts: list[dict[str, Any]] = ray.get(collector_of(self.name).replicas.remote())
        return facts

    def stop(self) -> None:
        if self.started_here:
            serve.delete(self.name)
            stop_collector(self.name)


def _serve_runs() -> bool:
    return any(actor["name"] == "SERVE_CONTROLLER_ACTOR" for actor in ray.util.list_named_actors(all_namespaces=True))


def _cluster_has_gpus() -> bool:
    return bool(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]


def _reason(status: ServeStatus, name: str) -> str:
    """The last line that names an error in what Serve says about the application: the rest is traceback."""
    app = status.applications.get(name)
    if app is None:
        return "Ray Serve does not know the application"
    messages = [deployment.message for deployment in app.deployments.values()] + [app.message]
    lines = [line.strip() for message in messages for line in message.splitlines() if line.strip()]
    telling = [line for line in lines if "Error" in line.split(":")[0] and not line.startswith("File")]
    return (telling or lines or ["no reason was given"])[-1]
