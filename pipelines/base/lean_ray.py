"""A local Ray without what nobody looks at: it starts sooner, and does less by the clock, whatever is scored.

Nothing here reaches a cluster that somebody else started: that has settings of its own.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from typing import Any

import ray._private.node
import ray._private.parameter
import ray._private.utils
import ray._raylet

from pipelines.base.ports import free_port

METRICS = "RAY_enable_metrics_collection"
# Ray reads them when it starts, and hands them to all of its processes. A value of the user's own wins.
SETTINGS = {
    # How often Serve's controller looks at all there is: 0.1 s, which takes 3 % of a core. A replica that is ready, or
    # gone, is noticed so much later.
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.25",
    METRICS: "0",  # Ray's own, for its dashboard, which is not started; /metrics of a service does without
    "RAY_gcs_server_port_wait_time_s": "120",  # how long its first process may take; Ray's own is 30 s
    # How long a worker may take to begin. Ray's own is 60 s; where one takes longer the command waits without an end.
    "RAY_worker_register_timeout_seconds": "600",
    "RAY_task_events_report_interval_ms": "0",  # what was run when and where: for the dashboard too
}
# What an agent calls its ports.
NO_PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port")
# Ray's own is 15, for clusters where many share a machine. Beside other work an engine would get next to nothing.
NICENESS = "RAY_worker_niceness"


@contextlib.contextmanager
def lean_ray(niceness: int = 0) -> Iterator[None]:
    """A local Ray that starts meanwhile has these settings and workers at `niceness` above this process. Unless its
    metrics are asked for, it has neither the server nor the agents of the dashboard in full, no autoscaler (it has one
    machine), and nothing that forwards logs.

    For these Ray has no setting: parts of it are replaced, those that this version of Ray has.
    """
    settings = SETTINGS | {NICENESS: str(niceness)}
    with contextlib.ExitStack() as stack:
        for name in settings.keys() - os.environ.keys():
            os.environ[name] = settings[name]
            # Ray's processes have them by then; what this one starts later, or connects to, is none of ours.
            stack.callback(os.environ.pop, name, None)
        if os.environ[METRICS] == "0":
            parameters: Any = ray._private.parameter.RayParams  # which has a boolean for a text
            # A port that is given is not waited for.
            ports = {"runtime_env_agent_port": free_port()}
            fewer = functools.partial(parameters, include_log_monitor=False, no_monitor=True, **ports)
            stack.enter_context(replaced(ray._private.parameter, "RayParams", fewer))
            stack.enter_context(replaced(ray._private.node.Node, "start_api_server", _without_api_server))
            stack.enter_context(replaced(ray._private.utils, "get_dashboard_dependency_error", _no_dashboard))
        yield


def _without_api_server(node: Any, **_: Any) -> None:
    """In the place of `Node.start_api_server`, whose process is waited for. Who joins asks for its address."""
    node._webui_url = ""
    # Its main process (raylet) aborts where its agent has not written its ports within 15 s, for which there is no
    # setting either. An agent that does the least has none, and writes just this: so it is there when it is asked for.
    raylet: Any = ray._raylet
    for name in NO_PORTS:
        raylet.persist_port(node.get_session_dir_path(), node.node_id, name, -1)
    namespace = ray._private.ray_constants.KV_NAMESPACE_DASHBOARD
    node.get_gcs_client().internal_kv_put(b"webui:url", b"", True, namespace)


def _no_dashboard() -> ImportError:
    """What Ray is told where the dashboard's libraries are not installed: its agent then does the least."""
    return ImportError("not wanted")


@contextlib.contextmanager
def replaced(owner: Any, name: str, new: Callable[..., Any]) -> Iterator[None]:
    """While open, `owner` has `new` in the place of what it calls `name`, where it has that."""
    old = owner.__dict__.get(name)
    if old is not None:
        setattr(owner, name, new)
    try:
        yield
    finally:
        if old is not None:
            setattr(owner, name, old)
