"""How an application is, by what Ray Serve says of it."""

from __future__ import annotations

import re
import time

import ray
from ray import serve
from ray.serve.schema import ApplicationStatus, ServeStatus

from stages.core.errors import EngineError

POLL_S = 0.25
_OWN_ERROR = re.compile(r"^stages\.core\.errors\.\w+: ")  # which say by themselves what they are about


def wait_until_up(name: str, timeout_s: float) -> None:
    """Block until the application runs. Raises EngineError with the reason that Serve gives."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if is_running(name):
            return
        time.sleep(POLL_S)
    raise late(name, timeout_s)


def is_running(name: str) -> bool:
    """Raises EngineError where it will not be, with the reason that Serve gives."""
    status = serve.status()
    app = status.applications.get(name)
    if app is not None and app.status in (ApplicationStatus.DEPLOY_FAILED, ApplicationStatus.UNHEALTHY):
        raise EngineError(f"the engine did not start: {reason(status, name)}")
    return app is not None and app.status == ApplicationStatus.RUNNING


def is_up(name: str) -> bool:
    status = serve.status().applications.get(name) if serve_runs() else None
    return status is not None and status.status in (ApplicationStatus.RUNNING, ApplicationStatus.DEPLOYING)


def serve_runs() -> bool:
    return any(actor["name"] == "SERVE_CONTROLLER_ACTOR" for actor in ray.util.list_named_actors(all_namespaces=True))


def late(name: str, timeout_s: float) -> EngineError:
    return EngineError(
        f"the engine did not start within serve.start_timeout_s {timeout_s:g}: {reason(serve.status(), name)}"
    )


def reason(status: ServeStatus, name: str) -> str:
    """The last line that names an error in what Serve says about the application: the rest is traceback."""
    app = status.applications.get(name)
    if app is None:
        return "Ray Serve does not know the application"
    messages = [deployment.message for deployment in app.deployments.values()] + [app.message]
    lines = [line.strip() for message in messages for line in message.splitlines() if line.strip()]
    telling = [line for line in lines if "Error" in line.split(":")[0] and not line.startswith("File")]
    return _OWN_ERROR.sub("", (telling or lines or ["no reason was given"])[-1])
