"""Settings -> Serve application: its name, its options, and its life on a cluster."""

from __future__ import annotations

import contextlib
import time
import uuid
from dataclasses import dataclass
from typing import Any, ClassVar

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
from serve_app.replica.hosting import EngineReplica, Place
from serve_app.replica.options import HostedSettings, application_name, deployment_options
from serve_app.replica.status import POLL_S, is_running, is_up, late, serve_runs, wait_until_up
from serve_app.settings import DeploymentSettings, EngineSettings, ModelSettings
from stages.core.errors import ConfigError
from stages.core.identity import ScoringIdentity, parse_identity

# A replica with all its places taken answers late.
ASKED_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class AppSettings:
    """HostedSettings of a reranker."""

    deployed: ClassVar[str] = "reranker"

    model: ModelInfo
    prompt: ModelSettings
    engine: EngineSettings
    deployment: DeploymentSettings

    @property
    def name(self) -> str:
        parts = (repr(self.model), self.prompt.model_dump_json(exclude={"canaries"}), self.engine.model_dump_json())
        return application_name("rerank", self.deployment, parts)

    def replica(self) -> tuple[type[EngineReplica], tuple[Any, ...]]:
        return RerankReplica, (self.model, self.prompt, self.engine, self.deployment.max_text_chars)


def build_app(settings: HostedSettings) -> serve.Application:
    """The Serve application of these settings, not yet running."""
    replica, made_with = settings.replica()
    deployment = serve.deployment(**deployment_options(settings, _cluster_has_gpus()))(replica)
    limits = settings.deployment
    replicas = max(limits.replicas, limits.max_replicas or 0)
    here = min(replicas, limits.max_replicas_per_node or replicas)
    place = Place(settings.name, here, limits.max_ongoing_queries, limits.niceness)
    bound: serve.Application = deployment.bind(*made_with, place)
    return bound


class EngineApp:
    """An application on the connected Ray cluster: started by us, or found there.

    `stop` takes down only what we started, and only when no other job or service uses it.
    """

    def __init__(self, settings: HostedSettings) -> None:
        self.settings = settings
        self.name = settings.name
        self._holder = uuid.uuid4().hex
        self.started_here = not is_up(self.name)
        if self.started_here:
            if not serve_runs():
                serve.start(proxy_location="Disabled")
            run_app(build_app(settings), self.name, route=None)
        ray.get(collector_of(self.name).hold.remote(self._holder))

    def told_identity(self) -> dict[str, Any]:
        """Block until an engine tells what decides what it gives: one that starts does before it can compute. {} of an
        application of another version of rerank-eval.

        Raises EngineError where none starts.
        """
        deadline = time.monotonic() + self.settings.deployment.start_timeout_s
        while time.monotonic() < deadline:
            if is_running(self.name):
                told = _asked_identity(self.settings.deployed, self.name)
            else:  # only of one that was started here: what others told may be of before
                living = [one for one in self.replicas() if one["ended_s"] is None]
                told = engine_fact(living, "identity") if self.started_here else None
            if told is not None:
                return told
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


class RunningApp(EngineApp):
    """A reranker's."""

    settings: AppSettings

    def __init__(self, settings: AppSettings) -> None:
        super().__init__(settings)

    def wait_until_identified(self) -> ScoringIdentity:
        """As `told_identity`. Raises ConfigError for an application of another version of rerank-eval."""
        told = self.told_identity()
        if (identity := parse_identity(told)) is None:
            raise of_another_version(self.name)
        return identity


def of_another_version(name: str) -> ConfigError:
    return ConfigError(
        f"serve.application {name}: it does not tell what decides its scores as this version of rerank-eval does. "
        "Start it again with this version, or choose another name"
    )


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
    return engine_handle(AppSettings.deployed, application)


def engine_handle(deployed: str, application: str) -> DeploymentHandle[Any]:
    """The handle of the application's replicas, whatever they compute."""
    return serve.get_deployment_handle(deployed, app_name=application)


def told_by_all(application: str, timeout_s: float, deployed: str = AppSettings.deployed) -> bool:
    """Have each replica that lives push what it has counted by now; whether all did in time."""
    handle, deadline = engine_handle(deployed, application), time.monotonic() + timeout_s
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


def _asked_identity(deployed: str, name: str) -> dict[str, Any] | None:
    """What a replica says of itself; None where it has no time to, or died. {} where it does not know the question."""
    handle = engine_handle(deployed, name)
    with contextlib.suppress(TimeoutError, RayActorError):
        try:
            told: dict[str, Any] = handle.identity.remote().result(timeout_s=ASKED_TIMEOUT_S)
        except (RayTaskError, AttributeError):
            return {}
        return told
    return None


def _cluster_has_gpus() -> bool:
    return bool(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
