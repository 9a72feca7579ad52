"""The engine's process that was started ahead is what vLLM would have started itself, only older."""

from __future__ import annotations

import gc
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from serve_app.engine import warm_start
from serve_app.engine.light_start import NAME, spawned_light
from serve_app.engine.warm_start import ENGINE, SPAWNED, WarmProcess, warm_engine
from tests.serve_app.engine.test_orphans import is_alive

# vLLM's import takes each process a quarter of a minute: here they import nothing ahead.
NOTHING = "import serve_app.engine.warm_start as w; w._import_engine = lambda: None; "
PARENT = """
import time
from serve_app.engine import warm_start
from serve_app.engine.orphans import die_together
warm_start.PROGRAM = {program!r}
guard = die_together()
print(warm_start.WarmProcess().process_id, flush=True)
time.sleep(600)
"""


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The ids of the processes that were started ahead; none may be left."""
    found: list[int] = []

    class Noted(WarmProcess):
        def __init__(self) -> None:
            super().__init__()
            found.append(self.process_id)

    monkeypatch.setattr(warm_start, "PROGRAM", light_program())
    monkeypatch.setattr(warm_start, "WarmProcess", Noted)
    before = SPAWNED.__dict__["_Popen"]
    yield found
    assert SPAWNED.__dict__["_Popen"] is before
    assert found and not any(map(is_alive, found))


def light_program() -> str:
    return warm_start.PROGRAM.replace("from serve_app", f"{NOTHING}from serve_app", 1)


def tell(path: str, *_: Any) -> None:
    """What the process is, for the one who started it."""
    import __main__

    told = {"main": __main__.__spec__.name, "garbage": gc.get_threshold()[0], "environment": dict(os.environ)}
    Path(path).write_text(json.dumps(told | {"id": os.getpid(), "parent": os.getppid()}), encoding="utf-8")


def told_by(path: Path, *more: Any, name: str = ENGINE) -> dict[str, Any]:
    process = get_context("spawn").Process(target=tell, args=(str(path), *more), name=name)
    process.start()
    process.join(120)
    assert process.exitcode == 0 and not process.is_alive()
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert told["id"] == process.pid
    return told


def test_the_engine_is_the_process_that_began_before_and_like_one_that_vllm_starts(
    begun: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GONE", "1")
    with spawned_light(), warm_engine():
        monkeypatch.delenv("GONE")
        monkeypatch.setenv("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        warm, cold = told_by(tmp_path / "warm"), told_by(tmp_path / "cold")
    assert warm["id"] == begun[0] != cold["id"]
    assert warm["parent"] == cold["parent"] == os.getpid()
    assert (warm["main"], warm["garbage"]) == (cold["main"], cold["garbage"]) == (NAME, gc.get_threshold()[0])
    own = {"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"}  # where torch is imported, as for OMP_NUM_THREADS
    assert {name: value for name, value in warm["environment"].items() if name not in own} == {
        name: value for name, value in cold["environment"].items() if name not in own
    }


@pytest.mark.parametrize(
    ("name", "reason"),
    [(name, f"{name} changed since it began") for name in ("OMP_PLACES", "LD_PRELOAD")],
)
def test_where_what_a_process_reads_as_it_begins_has_changed_vllm_starts_its_own(
    name: str,
    reason: str,
    begun: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING), spawned_light(), warm_engine():
        monkeypatch.setenv(name, "")
        told = told_by(tmp_path / "told")
    assert told["id"] != begun[0] and told["environment"][name] == ""
    assert caplog.messages == [f"the engine's process that was started ahead is not used: {reason}"]


def test_none_begins_before_vllm_has_named_the_folder_of_cudas_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_ENABLE_CUDA_COMPATIBILITY", "1")
    monkeypatch.setattr(warm_start, "WarmProcess", lambda: pytest.fail("it began"))
    before = SPAWNED.__dict__["_Popen"]
    with warm_engine():
        assert SPAWNED.__dict__["_Popen"] is before


def test_a_path_that_an_import_changes_in_either_process_keeps_none_from_being_used(
    begun: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with spawned_light(), warm_engine():
        monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
        assert told_by(tmp_path / "told")["id"] == begun[0]


def test_one_that_died_or_would_have_to_inherit_open_files_is_not_used(
    begun: list[int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), spawned_light(), warm_engine():
        os.kill(begun[0], 9)
        while is_alive(begun[0]):
            time.sleep(0.05)
        assert told_by(tmp_path / "one")["id"] != begun[0]
    with caplog.at_level(logging.WARNING), spawned_light(), warm_engine():
        assert told_by(tmp_path / "two", get_context("spawn").Queue())["id"] != begun[1]
    assert [one.rpartition(": ")[2] for one in caplog.messages] == [
        "it ended before",
        "it would have to inherit open files",
    ]


def test_other_processes_start_as_ever_and_one_that_nobody_asks_for_is_ended(begun: list[int], tmp_path: Path) -> None:
    with spawned_light(), warm_engine():
        assert told_by(tmp_path / "other", name="Worker")["id"] != begun[0]
        assert is_alive(begun[0])
    assert not is_alive(begun[0])


def test_where_none_can_be_started_vllm_does_it_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(warm_start.UTIL, "_args_from_interpreter_flags", lambda: 1 / 0)
    with caplog.at_level(logging.WARNING), spawned_light(), warm_engine():
        monkeypatch.undo()
        told_by(tmp_path / "told")
    assert caplog.messages[0] == "no engine process was started ahead"


def test_it_ends_with_its_parent_however_that_ends() -> None:
    command = [sys.executable, "-c", PARENT.format(program=light_program())]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert is_alive(child)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(child)


@pytest.mark.heavy
def test_vllm_starts_its_engine_under_the_name_that_is_waited_for() -> None:
    """Private to vLLM: an upgrade that changes it makes every start some seconds longer."""
    import inspect

    from vllm.v1.engine.utils import CoreEngineProcManager

    source = inspect.getsource(CoreEngineProcManager.__init__)
    assert 'name=f"EngineCore_DP{global_index}" if is_dp else "EngineCore"' in source
    assert "target=EngineCoreProc.run_engine_core" in source
    assert ENGINE == "EngineCore"
