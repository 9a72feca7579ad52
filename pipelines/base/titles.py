"""What the title of a process tells: which part of a service, a job or a benchmark it is.

vLLM writes "VLLM::EngineCore", Ray "ray::ServeReplica:APP:NAME" or "ray::CLASS"; what is ours is known by its module.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import NamedTuple

from stages.telemetry.machine import Role


class Part(NamedTuple):
    """`name` is what a benchmark calls it, `role` what it does in a service: coarser, and None for what serves nobody.

    A task or actor of somebody's own (as `ray::MapWorker`) has none: it takes the processor from the service.
    """

    name: str
    role: Role | None


OTHER = Part("other", None)
HTTP_API = Part("HTTP api", "api")
# By the program's own name: the rest of Ray has them among its arguments.
PROGRAMS = {"raylet": Part("raylet and agents", "ray"), "gcs_server": Part("GCS", "ray")}
# What a title holds -> the part; the first that fits.
TITLES = {
    "serve_app.engine.warm_start": Part("engine core", "engine"),  # until vLLM names it
    "VLLM::Worker": Part("engine worker", "engine"),
    "VLLM::EngineCore": Part("engine core", "engine"),
    "VLLM::APIServer": Part("vLLM server", "api"),
    "VLLM::": Part("vLLM server", "engine"),
    "vllm.entrypoints": Part("vLLM server", None),
    "serve_app.engine.bare_engine": Part("caller", None),
    "pipelines.speed.bench.client": Part("client", None),
    "pipelines.speed.bench.library": Part("library", None),
    "pipelines.speed.bench.host": Part("driver", None),
    "-m pipelines": Part("driver", None),
    ":ServeReplica:": Part("replica", "replica"),
    "ray::ProxyActor": Part("Serve proxy", "proxy"),
    "ray::HTTPProxyActor": Part("Serve proxy", "proxy"),
    "ray::ServeController": Part("Serve controller", "ray"),
    "ray::Collector": Part("collector", "ray"),
    "ray::MapWorker": Part("workers", None),
    "ray::IDLE": Part("readers", "ray"),
    "ray::DashboardAgent": Part("raylet and agents", "ray"),
    "ray::RuntimeEnvAgent": Part("raylet and agents", "ray"),
    "ray::": Part("readers", None),
    "ray-dashboard": Part("raylet and agents", "ray"),
    "/ray/dashboard/": Part("raylet and agents", "ray"),
    "/ray/_private/": Part("raylet and agents", "ray"),
    "/ray/autoscaler/": Part("raylet and agents", "ray"),
}
API_DEPLOYMENTS = ("api", "ingress")


def part_of(title: str) -> Part:
    """`title` is the whole command line, or what the process wrote in its place."""
    if (part := PROGRAMS.get(program_of(title))) is not None:
        return part
    part = next((part for mark, part in TITLES.items() if mark in title), OTHER)
    return HTTP_API if part.name == "replica" and _is_api(title) else part


def program_of(title: str) -> str:
    """The name of the program that a command line starts."""
    return PurePath(title.split(" ", 1)[0]).name


def _is_api(title: str) -> bool:
    """Whether a replica's deployment takes requests from outside, by its name."""
    return title.split(maxsplit=1)[0].rpartition(":")[2].lower().startswith(API_DEPLOYMENTS)
