"""A local Ray starts where TMPDIR is long and there is no home, has a container's share, and fails in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import ray
import ray._private.services

from pipelines.base import local_ray as module
from pipelines.base.local_ray import CPUS_PER_REPLICA, RAYS_SOCKET, TOKEN, TOKEN_FILE, TOKEN_MODE
from stages.core.errors import EngineError
from stages.telemetry.cores import usable_cores

ROOT = Path(__file__).parents[3]
STARTED = """
import json, os, ray
from pipelines.base.cluster import connected, session_logs
with connected(None, replicas=1):
    told = {"sum": ray.get(ray.remote(lambda: 1 + 1).remote()), "cpus": ray.cluster_resources()["CPU"]}
    print(json.dumps(told | {"logs": str(session_logs())}))
"""


def start(*before: str, **environment: str) -> dict[str, Any]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_ADDRESS", "RAY_AUTH"))}
    done = subprocess.run(
        [*before, sys.executable, "-c", STARTED],
        cwd=ROOT,
        env=kept | environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@pytest.mark.heavy
def test_a_ray_starts_under_a_long_tmpdir_without_a_home_and_with_its_share_of_the_cores(tmp_path: Path) -> None:
    long = tmp_path / ("t" * 60)
    long.mkdir()
    core = str(usable_cores()[0])
    told = start("taskset", "-c", core, TMPDIR=str(long), HOME="/dev/null/home")
    assert (told["sum"], told["cpus"]) == (2, 1 + CPUS_PER_REPLICA)
    assert len(told["logs"]) < len(str(long)), "in a folder that is short enough for sockets"


def test_the_paths_of_rays_sockets_fit_and_what_is_large_stays_where_the_user_wants_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    long = tmp_path / ("t" * 60)
    long.mkdir()
    for given in (tempfile.gettempdir(), str(long)):
        monkeypatch.setattr(tempfile, "tempdir", given)
        options = module._options(1)
        ray._private.utils.validate_socket_filepath(options["_temp_dir"] + "s" * (RAYS_SOCKET - len("/ray")))
        assert options.get("object_spilling_directory") == (given if given == str(long) else None)
    monkeypatch.setenv("RAY_TMPDIR", "/as/the/user/says")
    assert module._options(1)["_temp_dir"] == "/as/the/user/says/ray"


def test_where_there_is_no_home_for_a_token_ray_is_told_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (TOKEN, TOKEN_FILE, TOKEN_MODE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    module._have_token()
    assert TOKEN not in os.environ, "Ray keeps its own in a home that can be written"
    monkeypatch.setenv("HOME", "/dev/null/home")
    monkeypatch.setenv(TOKEN_MODE, "disabled")
    module._have_token()
    assert TOKEN not in os.environ
    monkeypatch.delenv(TOKEN_MODE)
    module._have_token()
    assert len(os.environ[TOKEN]) == 64


@pytest.fixture
def tries(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A Ray whose main process never tells that it runs: the seconds that each try had, as far as it had some."""
    seen: list[float] = []

    def init(**_: Any) -> None:
        try:
            ray._private.services.get_node("address", "node")
        except RuntimeError:
            raise Exception("The current node timed out during startup. This could happen because.\nMore") from None

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(module, "PATIENCE_S", (0.05, 0.2))
    monkeypatch.setattr(module, "LOOK_EVERY_S", 0.01)
    asked = module._patient

    def patient(patience_s: float) -> Any:
        seen.append(patience_s)
        return asked(patience_s)

    monkeypatch.setattr(module, "_patient", patient)

    def unknown(*_: str) -> None:
        raise RuntimeError("no such node")

    monkeypatch.setattr(ray._private.services, "get_node", unknown)
    return seen


def test_a_start_that_takes_too_long_is_tried_once_more_with_a_longer_limit_and_told_in_one_line(
    tries: list[float],
) -> None:
    with pytest.raises(EngineError, match=r"no local Ray started in .* s: The current node timed out during") as failed:
        module._start(module._options(1))
    assert tries == [0.05, 0.2]
    assert "\n" not in str(failed.value) and "session_latest/logs" in str(failed.value)


def test_a_machine_with_far_more_to_do_than_cores_is_named_as_the_reason(
    tries: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (60.0, 0.0, 0.0))
    with pytest.raises(EngineError, match=r"60 processes want this machine's .* cores: try again when there are fewer"):
        module._start(module._options(1))


def test_what_would_fail_again_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def init(**_: Any) -> None:
        calls.append(1)
        raise OSError("AF_UNIX path length cannot exceed 107 bytes")

    monkeypatch.setattr(ray, "init", init)
    with pytest.raises(EngineError, match="AF_UNIX"):
        module._start(module._options(1))
    assert calls == [1]
