"""A Ray of this machine, for one command: with room for its engines, in folders that can be used, and tried twice."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import ray
import ray._private.services

from pipelines.base.lean_ray import lean_ray, replaced
from serve_app.engine.places import short_folder, writable
from stages.core.errors import EngineError, first_line
from stages.telemetry.cores import core_share, usable_cores

# Ray counts CPUs to schedule, not to compute: readers and workers mostly wait for the engine, and must always fit
# beside it.
CPUS_PER_REPLICA = 2
# How long Ray's own processes may take to start, at the first try and at the second one. Ray's limit is 30 s, which a
# machine with 30 runnable processes a core needs.
PATIENCE_S = (60.0, 240.0)
LOOK_EVERY_S, ENDED_S = 0.5, 10.0
BUSY = 2  # so many runnable processes for each core are worth a word
# What Ray puts behind a folder's name (68 bytes), where it keeps sockets.
RAYS_SOCKET = len("/ray/session_2026-11-30_19-32-39_123456_1234567/sockets/plasma_store")
FOLDER = "RAY_TMPDIR"
# A file, an option: what would fail again.
HOPELESS = (OSError, ValueError)
TOKEN, TOKEN_FILE, TOKEN_MODE = "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_AUTH_MODE"


@contextlib.contextmanager
def local_ray(replicas: int, niceness: int) -> Iterator[None]:
    """While open, this process is the driver of a Ray of its own. Raises EngineError where none starts."""
    _have_token()
    with lean_ray(niceness):
        _start(_options(replicas))
    try:
        yield
    finally:
        ray.shutdown()


def _options(replicas: int) -> dict[str, Any]:
    """What the machine gives: a container's share of the cores, not the host's, and folders that can be used."""
    options: dict[str, Any] = {
        "num_cpus": core_share() + CPUS_PER_REPLICA * replicas,
        "include_dashboard": False,
        "_temp_dir": str(Path(os.environ.get(FOLDER) or tempfile.gettempdir()) / "ray"),
    }
    if FOLDER not in os.environ and (short := short_folder(RAYS_SOCKET)) != tempfile.gettempdir():
        # What is large stays where the user wants it.
        options |= {"_temp_dir": str(Path(short) / "ray"), "object_spilling_directory": tempfile.gettempdir()}
    return options


def _have_token() -> None:
    """Ray writes a token into the home and reads it there: without a home to write to it is told one, for this process
    and those that it starts.
    """
    given = {TOKEN, TOKEN_FILE} & os.environ.keys() or os.environ.get(TOKEN_MODE) == "disabled"
    kept = Path(os.path.expanduser("~/.ray/auth_token"))  # noqa: PTH111  # Path's own raises where there is no home
    if not given and not kept.is_file() and not writable(kept):
        os.environ[TOKEN] = secrets.token_hex(32)


def _start(options: dict[str, Any]) -> None:
    began_s = time.monotonic()
    before = {one.pid for one in _rays_processes()}
    for patience_s in PATIENCE_S:
        try:
            with replaced(ray._private.services, "get_node", _patient(patience_s)):
                ray.init(address="local", log_to_driver=False, configure_logging=False, **options)
        except Exception as error:
            _end(before)
            fault = error
            if isinstance(error, HOPELESS) and not isinstance(error, TimeoutError | ConnectionError):
                break
        except BaseException:  # Ctrl-C
            _end(before)
            raise
        else:
            return
    raise EngineError(_why(fault, time.monotonic() - began_s, options["_temp_dir"])) from fault


def _patient(patience_s: float) -> Callable[[str, str], Any]:
    """`get_node`, which Ray asks until its own processes tell that they run, with a longer limit than Ray's.

    Where its main process (raylet) is gone there is nothing to wait for.
    """
    asked: Callable[[str, str], Any] = ray._private.services.get_node
    deadline = time.monotonic() + patience_s

    def get_node(address: str, node_id: str) -> Any:
        while True:
            try:
                return asked(address, node_id)
            except RuntimeError:
                if time.monotonic() > deadline or not any("raylet" in one.name() for one in _rays_processes()):
                    raise
            time.sleep(LOOK_EVERY_S)

    return get_node


def _why(error: Exception, seconds: float, folder: str) -> str:
    """Ray's reason in one line, and where the machine has far more to do than cores, that."""
    reason = first_line(error).rstrip(".")
    running, cores = os.getloadavg()[0], len(usable_cores())
    told = f"no local Ray started in {seconds:.0f} s: {reason}. Its logs are in {folder}/session_latest/logs"
    if running > BUSY * cores:
        return f"{told}. {running:.0f} processes want this machine's {cores} cores: try again when there are fewer"
    return told


def _rays_processes() -> list[psutil.Process]:
    """Those that Ray started from this process, and theirs."""
    return [one for one in psutil.Process().children(recursive=True) if _is_rays(one)]


def _is_rays(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(word.startswith(ray.__path__[0]) for word in process.cmdline())
    return False


def _end(before: set[int]) -> None:
    """What a start that failed left, all but those with these numbers: the next try begins anew."""
    with contextlib.suppress(Exception):
        ray.shutdown()
    processes = [one for one in _rays_processes() if one.pid not in before]
    for one in processes:
        with contextlib.suppress(psutil.Error):
            one.kill()
    psutil.wait_procs(processes, timeout=ENDED_S)
