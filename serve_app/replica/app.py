"""Settings -> Serve application: its name, its options, and its life on a cluster."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import uuid
from dataclasses import dataclass
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.serve.exceptions import DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import ApplicationStatus

from serve_app.engine.models import ModelInfo
from serve_app.replica.collector import collector_of, stop_collector
from serve_app.replica.deployment import RerankReplica
from serve_app.replica.facts import engine_fact, phase_of_start
from serve_app.replica.status import POLL_S, is_running, is_up, late, serve_runs, wait_until_up
from serve_app.settings import DeploymentSettings, EngineSettings, ModelSettings
from stages.core.errors import ConfigError
from stages.core.identity import ScoringIdentity, parse_identity

# A replica with all its places taken answers late.
ASKED_TIMEOUT_S = 5.0
ROUTER = "serve_app.replica.routing:PrefixRouter"
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
        """The chosen name, or `rerank-` and a digest of the settings."""
        if self.deployment.application:
            return self.deployment.application
        shared = self.deployment.model_dump_json(exclude={"ray_address", "start_timeout_s", "retry_for_s", "http"})
        parts = (
            repr(self.model),
            self.prompt.model_dump_json(exclude={"canaries"}),
            self.engine.model_dump_json(),
            shared,
        )
        return "rerank-" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def build_app(settings: AppSettings) -> serve.Application:
    """The Serve application of these settings, not yet running."""
    deployment = serve.deployment(**deployment_options(settings, _cluster_has_gpus()))(RerankReplica)
    replicas = max(settings.deployment.replicas, settings.deployment.max_replicas or 0)
    here = min(replicas, settings.deployment.max_replicas_per_node or replicas)
    limits = settings.deployment
    bound: serve.Application = deployment.bind(
        settings.model,
        settings.prompt,
        settings.engine,
        settings.name,
        here,
        limits.max_text_chars,
        limits.max_ongoing_queries,
        limits.niceness,
    )
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


class RunningApp:
    """An application on the connected Ray cluster: started by us, or found there.

    `stop` takes down only what we started, and only when no other job or service uses it.
    """

    def __init__(self, settings: AppSettings) -> None:
        self.settings = settings
        self.name = settings.name
        self._holder = uuid.uuid4().hex
        self.started_here = not is_up(self.name)
        if self.started_here:
            if not serve_runs():
                serve.start(proxy_location="Disabled")
            run_app(build_app(settings), self.name, route=None)
        ray.get(collector_of(self.name).hold.remote(self._holder))

    def wait_until_identified(self) -> ScoringIdentity:
        """Block until an engine tells what decides its scores: one that starts does before it can score.

        Raises EngineError where none starts, ConfigError for an application of another version of rerank-eval.
        """
        deadline = time.monotonic() + self.settings.deployment.start_timeout_s
        while time.monotonic() < deadline:
            if is_running(self.name):
                told = _asked_identity(self.name)
            else:  # only of one that was started here: what others told may be of before
                living = [one for one in self.replicas() if one["ended_s"] is None]
                told = engine_fact(living, "identity") if self.started_here else None
            if told is not None:
                return _known_identity(told, self.name)
            time.sleep(POLL_S)
        raise late(self.name, self.settings.deployment.start_timeout_s)

    def wait_until_ready(self) -> None:
        """Block until every replica's engine answers. Raises EngineError with the engine's own reason."""
        wait_until_up(self.name, self.settings.deployment.start_timeout_s)

    def phase(self) -> str:
        """What is waited for while an engine starts, in a few words."""
        return phase_of_start(self.replicas()) or "waiting for a place on the cluster"

    def replicas(self) -> list[dict[str, Any]]:
        """What each replica that started says of itself, those that died meanwhile (`ended_s`) included: `process_id`,
        once its engine runs `dtype` ...
        """
        facts: list[dict[str, Any]] = ray.get(collector_of(self.name).replicas.remote())
        return facts

    def stop(self) -> None:
        others = ray.get(collector_of(self.name).release.remote(self._holder))
        if self.started_here and not others:
            app = serve.status().applications.get(self.name)
            if app and app.status == ApplicationStatus.DEPLOYING:
                end_starting(self.name)
            else:
                serve.delete(self.name)
            stop_collector(self.name)


def run_app(app: serve.Application, name: str, route: str | None) -> None:
    """Start an application on the running Serve; returns before it is up."""
    target = serve.RunTarget(app, name=name, route_prefix=route)
    serve.run_many([target], wait_for_applications_running=False, wait_for_ingress_deployment_creation=False)


def end_starting(name: str) -> None:
    """Delete an application whose engines start, and wait for nothing: Serve would until each is up, to drain it."""
    serve.delete(name, _blocking=False)  # first, or Serve would replace what ends
    for actor in ray.util.list_named_actors(all_namespaces=True):
        if actor["name"].startswith(f"SERVE_REPLICA::{name}#"):
            with contextlib.suppress(ValueError, RayError):  # it is gone already
                ray.kill(ray.get_actor(actor["name"], namespace=actor["namespace"]))


def reranker_handle(application: str) -> DeploymentHandle[RerankReplica]:
    """The handle of the application's replicas."""
    return serve.get_deployment_handle("reranker", app_name=application)


def told_by_all(application: str, timeout_s: float) -> bool:
    """Have each replica that lives push what it has counted by now; whether all did in time."""
    handle, deadline = reranker_handle(application), time.monotonic() + timeout_s
    while (left_s := deadline - time.monotonic()) > 0:
        try:
            results = handle.broadcast("tell").results(timeout_s=left_s, return_exceptions=True)
        except DeploymentUnavailableError:  # all of them are starting, or the handle has not heard of any yet
            time.sleep(POLL_S)
        except TimeoutError:
            break
        else:  # one that died has nothing more to tell
            return all(result is None or isinstance(result, RayActorError) for result in results)
    return False


def _asked_identity(name: str) -> dict[str, Any] | None:
    """What a replica says of itself; None where it has no time to, or died. {} where it does not know the question."""
    with contextlib.suppress(TimeoutError, RayActorError):
        try:
            told: dict[str, Any] = reranker_handle(name).identity.remote().result(timeout_s=ASKED_TIMEOUT_S)
        except (RayTaskError, AttributeError):
            return {}
        return told
    return None


def _known_identity(told: dict[str, Any], name: str) -> ScoringIdentity:
    if (identity := parse_identity(told)) is None:
        raise ConfigError(
            f"serve.application {name}: it does not tell what decides its scores as this version of rerank-eval does. "
            "Start it again with this version, or choose another name"
        )
    return identity


def _cluster_has_gpus() -> bool:
    return bool(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
