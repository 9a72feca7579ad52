"""The engine's process, started before vLLM asks for it: it imports vLLM while the replica does, not after it.

vLLM spawns one process for an engine, when the replica has imported vLLM and settled its config. A spawned process
begins with importing vLLM itself, for some seconds in which the replica waits. `warm_engine` spawns it at once, and
hands it what it is to run when vLLM starts it. It is the same process with the same parent, environment and output,
only older; where it would not be the same, vLLM spawns its own, and the log says why.

multiprocessing's own way of spawning is followed step by step, which is private: a test holds it to that.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import os
import signal
import struct
import sys
from collections.abc import Iterator
from multiprocessing import context, popen_spawn_posix, reduction, resource_tracker, spawn, util
from typing import Any

logger = logging.getLogger(__name__)
# Private parts of the library, which has no types for some of them.
SPAWNED: Any = context.SpawnProcess
UTIL: Any = util
ENGINE = "EngineCore"  # what vLLM calls the process
PROGRAM = (
    "import sys; sys.path[:] = {path!r}; from serve_app.engine.warm_start import become_engine; "
    "become_engine({tracker}, {pipe})"
)
# What is read once, when a process begins or imports torch. Of OMP_NUM_THREADS torch can be told later.
READ_ONCE = ("LD_PRELOAD", "OMP_", "GOMP_", "KMP_", "MKL_", "CUDA_VISIBLE_DEVICES")
THREADS = "OMP_NUM_THREADS"
# With it importing vLLM puts a folder of CUDA's into LD_LIBRARY_PATH, which a process reads as it begins: one that
# began before would do without. What else changes that path on an import (OpenCV) changes it in either process.
CUDA_COMPATIBILITY = "VLLM_ENABLE_CUDA_COMPATIBILITY"
# Which torch sets as it is imported, in either process.
OF_TORCH = ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK")
_LENGTH = struct.Struct("!Q")


class UnfitError(Exception):
    """The warm process is not what vLLM asks for; the message says why."""


class WarmProcess:
    """A process that imports what an engine's needs, and waits for what to run."""

    def __init__(self) -> None:
        self.environment = dict(os.environ)
        self.executable = spawn.get_executable()
        tracker = resource_tracker.getfd()
        self.sentinel, theirs = os.pipe()
        pipe, self.writer = os.pipe()
        try:
            program = PROGRAM.format(path=sys.path, tracker=tracker, pipe=pipe)
            flags = UTIL._args_from_interpreter_flags()
            command = [self.executable, *flags, "-c", program, "--multiprocessing-fork"]
            self.process_id: int = UTIL.spawnv_passfds(self.executable, command, [tracker, theirs, pipe])
        except BaseException:
            self.close()
            raise
        finally:
            os.close(theirs)
            os.close(pipe)

    def changes(self) -> dict[str, str | None]:
        """What the environment became since: None for what is gone. Raises UnfitError where that comes too late."""
        names = self.environment.keys() | os.environ.keys()
        changed = {name: os.environ.get(name) for name in names if os.environ.get(name) != self.environment.get(name)}
        late = sorted(name for name in changed if name.startswith(READ_ONCE) and name not in (THREADS, *OF_TORCH))
        if late:
            raise UnfitError(f"{', '.join(late)} changed since it began")
        return changed

    def run(self, payload: bytes) -> None:
        """Send it what to do. Raises UnfitError where it is gone, or would not be what is asked for."""
        changes = json.dumps(self.changes()).encode()
        if spawn.get_executable() != self.executable:
            raise UnfitError("it is to be started by another program")
        try:
            with open(self.writer, "wb", closefd=False) as file:
                file.write(_LENGTH.pack(len(changes)) + changes + payload)
        except BrokenPipeError as error:
            raise UnfitError("it ended before") from error

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process_id, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.process_id, 0)
        self.close()

    def close(self) -> None:
        os.close(self.sentinel)
        os.close(self.writer)


class WarmPopen(popen_spawn_posix.Popen):
    """What multiprocessing knows a spawned process by, for one that runs already."""

    def __init__(self, process: Any, warm: WarmProcess) -> None:
        self._warm = warm
        super().__init__(process)

    def _launch(self, process: Any) -> None:
        payload = io.BytesIO()
        context.set_spawning_popen(self)
        try:
            reduction.dump(spawn.get_preparation_data(process.name), payload)
            reduction.dump(process, payload)
        finally:
            context.set_spawning_popen(None)
        if self._fds:  # type: ignore[attr-defined]
            raise UnfitError("it would have to inherit open files")
        self._warm.run(payload.getvalue())
        self.pid, self.sentinel = self._warm.process_id, self._warm.sentinel
        self.finalizer = UTIL.Finalize(self, UTIL.close_fds, [self._warm.sentinel, self._warm.writer])


@contextlib.contextmanager
def warm_engine() -> Iterator[None]:
    """vLLM's first engine process that is started meanwhile has begun when this was entered."""
    if os.environ.get(CUDA_COMPATIBILITY, "0") not in ("", "0"):
        yield
        return
    warm: WarmProcess | None = None
    spawned = SPAWNED.__dict__["_Popen"]

    def start(process: Any) -> Any:
        nonlocal warm
        if warm is None or process.name != ENGINE:
            return spawned.__func__(process)
        mine, warm = warm, None
        try:
            return WarmPopen(process, mine)
        except UnfitError as error:
            logger.warning("the engine's process that was started ahead is not used: %s", error)
            mine.end()
            return spawned.__func__(process)
        except BaseException:
            mine.end()
            raise

    try:
        warm = WarmProcess()
        SPAWNED._Popen = staticmethod(start)
    except Exception:  # whatever it is: vLLM's own way is a few seconds longer
        logger.warning("no engine process was started ahead", exc_info=True)
    try:
        yield
    finally:
        SPAWNED._Popen = spawned
        if warm is not None:  # vLLM asked for none, or failed before it did
            warm.end()


def become_engine(tracker: int, pipe: int) -> None:
    """In the process itself: import, wait for what to run, and run it as a spawned process does."""
    importlib.import_module("serve_app.engine.light_start")
    with contextlib.suppress(Exception):  # it comes again, and is told, where what to run is unpickled
        _import_engine()
    (length,) = _LENGTH.unpack(_read(pipe, _LENGTH.size))
    _change_environment(json.loads(_read(pipe, length)))
    spawn.spawn_main(pipe_handle=pipe, tracker_fd=tracker)


def _import_engine() -> None:
    importlib.import_module("vllm.v1.engine.core")
    if importlib.import_module("vllm.platforms").current_platform.is_cpu():
        importlib.import_module("vllm.v1.worker.cpu_worker")
        importlib.import_module("serve_app.engine.scheduler")


def _change_environment(changes: dict[str, str | None]) -> None:
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if changes.get(THREADS):
        import torch

        torch.set_num_threads(int(os.environ[THREADS]))


def _read(pipe: int, length: int) -> bytes:
    """So many bytes. A parent that is gone, or needs no engine, sends none: the process ends."""
    found = b""
    while len(found) < length:
        if not (more := os.read(pipe, length - len(found))):
            sys.exit(0)
        found += more
    return found
