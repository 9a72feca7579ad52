"""A local Ray starts without what nobody looks at; what a user sets wins, and elsewhere nothing is changed."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import ray._private.node
import ray._private.parameter
import ray._private.services
import ray._private.utils

from pipelines.base.lean_ray import METRICS, NICENESS, SETTINGS, lean_ray

ROOT = Path(__file__).parents[3]
STARTED = """
import json, os, sys, psutil, ray
from pipelines.base.cluster import connected
with connected(None, niceness=5):
    nice = ray.get(ray.remote(lambda: os.nice(0)).remote())
    titles = [" ".join(one.cmdline()) for one in psutil.Process().children(recursive=True)]
    print(json.dumps({"nice": nice - os.nice(0), "titles": titles}))
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is set meanwhile is gone afterwards."""
    for name in (*SETTINGS, NICENESS):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)


def parts() -> list[object]:
    private = ray._private
    return [
        private.parameter.RayParams,
        private.node.Node.start_api_server,
        private.utils.get_dashboard_dependency_error,
    ]


def test_settings_and_parts_are_replaced_while_it_starts_and_what_a_user_sets_wins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = parts()
    monkeypatch.setenv(METRICS, "0")
    monkeypatch.setenv("RAY_task_events_report_interval_ms", "7")
    with lean_ray(niceness=5):
        assert {name: os.environ[name] for name in SETTINGS} == SETTINGS | {"RAY_task_events_report_interval_ms": "7"}
        assert os.environ[NICENESS] == "5"
        assert not any(one is other for one, other in zip(before, parts(), strict=True))
        parameters = ray._private.parameter.RayParams()
        assert (parameters.include_log_monitor, parameters.no_monitor) == (False, True)
    assert parts() == before
    assert {name for name in (*SETTINGS, NICENESS) if name in os.environ} == {
        METRICS,
        "RAY_task_events_report_interval_ms",
    }


def test_a_niceness_in_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NICENESS, "7")
    with lean_ray(niceness=5):
        assert os.environ[NICENESS] == "7"
    assert os.environ[NICENESS] == "7"


def test_who_asks_for_rays_metrics_gets_all_that_ray_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = parts()
    monkeypatch.setenv(METRICS, "1")
    with lean_ray():
        assert parts() == before


def test_this_version_of_ray_asks_for_the_parts_where_they_are_replaced() -> None:
    """Private to Ray: an upgrade that changes them makes a local one start more than it needs."""
    node = inspect.getsource(ray._private.node.Node)
    assert "if not self._ray_params.no_monitor:" in node and "if self._ray_params.include_log_monitor:" in node
    assert "self.start_api_server(" in node and 'b"webui:url"' in node
    assert "ray._private.parameter.RayParams(" in inspect.getsource(ray.init)
    asked = "if ray._private.utils.get_dashboard_dependency_error() is not None:"
    assert asked in inspect.getsource(ray._private.services.start_raylet)


@pytest.mark.heavy
def test_a_local_ray_has_no_more_than_it_needs_and_its_workers_are_as_nice_as_they_are_told_to_be() -> None:
    settings = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", NICENESS, *SETTINGS)}
    done = subprocess.run(
        [sys.executable, "-c", STARTED], cwd=ROOT, env=settings, capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    assert told["nice"] == 5
    assert any("raylet" in title for title in told["titles"])
    for part in ("dashboard/dashboard.py", "autoscaler/_private/monitor.py", "log_monitor.py"):
        assert not any(part in title for title in told["titles"]), part
