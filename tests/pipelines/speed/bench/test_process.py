"""The processes of a benchmark's contenders: watched by role, told why they failed, and none of them left."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from pipelines.speed.bench.gpu_memory import MIB, GpuMemory
from pipelines.speed.bench.process import Group, Watch
from serve_app.replica.gpus import GpuProcess, Gpus
from stages.core.errors import EngineError

pytestmark = pytest.mark.heavy


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_processor_time_between_two_moments_is_interpolated() -> None:
    points = [(10.0, {"a": 0.0}), (20.0, {"a": 5.0, "b": 0.0}), (30.0, {"a": 5.0, "b": 4.0})]
    watch = Watch([(at_s, Counter(spent)) for at_s, spent in points])
    assert watch.between(15.0, 25.0) == pytest.approx({"a": 2.5, "b": 2.0})
    assert watch.between(0.0, 99.0) == pytest.approx({"a": 5.0, "b": 4.0})
    assert Watch().between(0.0, 1.0) == {}


def test_a_group_sees_the_processor_time_and_memory_of_what_its_process_starts(tmp_path: Path) -> None:
    go = tmp_path / "go"
    busy = (
        "import pathlib, time\n"
        f"while not pathlib.Path({str(go)!r}).exists(): time.sleep(0.05)\n"
        "began = time.process_time()\n"
        "while time.process_time() - began < 1.5: pass\n"
        "time.sleep(600)"
    )
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    with Group(tmp_path / "log", limit_s=240) as group:
        began_s = time.time()
        group.start(python(code))
        while not group.watch.points:  # what a process used before the first look is not told
            time.sleep(0.05)
        go.touch()
        while sum(group.watch.between(began_s, time.time()).values()) < 1.4 or group.watch.peak_mib < 1:
            group.check_time()
            time.sleep(0.05)
    assert sum(group.watch.between(began_s, time.time()).values()) < 4


def test_a_process_starts_in_the_folder_that_is_named(tmp_path: Path) -> None:
    with Group(tmp_path / "log", limit_s=60) as group:
        group.finish(group.start(python("import os; print(os.getcwd())"), folder=tmp_path))
    assert (tmp_path / "log").read_text().strip() == str(tmp_path)


def test_leaving_a_group_ends_what_its_processes_started(tmp_path: Path) -> None:
    """The grandchild has a session of its own, and would outlive its parent."""
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)"
    )
    with Group(tmp_path / "log", limit_s=240) as group:
        group.start(python(code))
        while len(group.watch.seen) < 2:
            group.check_time()
            time.sleep(0.05)
    left = [one for one in group.watch.seen if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert left == []
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_what_a_process_starts_in_its_last_moment_does_not_outlive_it(tmp_path: Path) -> None:
    """Nobody has seen it: its parent is gone before the next look."""
    code = (
        "import signal, subprocess, sys, time\n"
        "def at_the_end(*_):\n"
        "    child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"    open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "    sys.exit()\n"
        "signal.signal(signal.SIGTERM, at_the_end)\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)"
    )
    with Group(tmp_path / "log", limit_s=240) as group:
        group.start(python(code))
        while not (tmp_path / "log").read_text().strip():
            group.check_time()
            time.sleep(0.05)
    pid = int((tmp_path / "pid").read_text())
    while is_alive(pid):  # it was told to end, and takes its moment
        group.check_time()
        time.sleep(0.05)


def test_ctrl_c_while_a_group_ends_its_processes_leaves_none_that_do_not_listen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grandchild inherits that SIGTERM is ignored."""
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)"
    )
    group = Group(tmp_path / "log", limit_s=240)
    group.__enter__()
    process = group.start(python(code))
    while not (tmp_path / "log").read_text().strip():
        group.check_time()
        time.sleep(0.05)
    wait = process.wait

    def interrupted(timeout: float | None = None) -> int:
        """What it waits for first, once it has asked the process to end."""
        monkeypatch.undo()
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        return wait(timeout)

    monkeypatch.setattr(process, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        group.__exit__()
    assert not is_alive(process.pid)
    assert not is_alive(int((tmp_path / "log").read_text()))


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_process_that_fails_is_told_with_the_last_error_of_its_log(tmp_path: Path) -> None:
    with Group(tmp_path / "log", limit_s=240) as group, pytest.raises(EngineError) as caught:
        group.finish(group.start(python("print('fine'); raise ValueError('too many layers')")))
    assert "exit code 1: ValueError: too many layers" in str(caught.value)
    assert str(tmp_path / "log") in str(caught.value)


def test_the_reason_is_the_root_cause_and_not_what_points_at_it(tmp_path: Path) -> None:
    said = "ValueError: no room\nRuntimeError: Engine core initialization failed. See root cause above.\n"
    with Group(tmp_path / "log", limit_s=240) as group:
        group.log.write_text(said)
        assert group.reason() == f"ValueError: no room ({group.log})"


def test_a_client_does_not_wait_for_a_server_that_is_gone(tmp_path: Path) -> None:
    with Group(tmp_path / "log", limit_s=240) as group:
        server, client = group.start(python("raise SystemExit('no such model')")), group.start(python("input()"))
        with pytest.raises(EngineError, match="the server ended with code 1: no such model"):
            group.finish(client, beside=server)


def test_who_takes_too_long_is_ended(tmp_path: Path) -> None:
    with Group(tmp_path / "log", limit_s=0.3) as group:
        process = group.start(python("import time; time.sleep(600)"))
        with pytest.raises(EngineError, match="not done within 0 s"):
            group.finish(process)
    assert process.poll() is not None


def test_engine_settings_of_the_users_own_reach_no_contender(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "0")
    monkeypatch.setenv("RAY_ADDRESS", "elsewhere:1")
    code = "import os; print(os.environ.get('RAY_ADDRESS'), os.environ.get('VLLM_CPU_OMP_THREADS_BIND'))"
    with Group(tmp_path / "log", limit_s=240) as group:
        group.finish(group.start(python(code), {"VLLM_CPU_OMP_THREADS_BIND": "0-1"}))
    assert (tmp_path / "log").read_text() == "None 0-1\n"


# GPU memory


class ToldGpus(Gpus):
    """Two GPUs: MiB by process on the first, at each look; None where it tells nothing. On the second, process 11 has
    5 MiB always.
    """

    def __init__(self, *looks: dict[int, int | None] | None) -> None:
        self._looks = iter(looks)

    def processes(self) -> dict[int, tuple[GpuProcess, ...] | None]:
        told = next(self._looks)
        first = None if told is None else tuple(GpuProcess(pid, mib and mib * MIB) for pid, mib in told.items())
        return {0: first, 1: (GpuProcess(11, 5 * MIB),)}


def test_gpu_memory_is_the_most_of_all_its_processes_on_all_gpus_at_once() -> None:
    memory = GpuMemory(ToldGpus({11: 100, 12: 20, 99: 4_000}, {11: 90, 12: 300}, None, {11: 10}))
    for _ in range(4):
        memory.look({11, 12})
    assert memory.peak_mib == 395.0


def test_a_look_at_which_one_gpu_does_not_tell_its_processes_is_none() -> None:
    memory = GpuMemory(ToldGpus(None))
    memory.look({11})
    assert memory.peak_mib is None


def test_who_is_on_no_gpu_and_whose_size_is_not_told_has_no_gpu_memory() -> None:
    for memory in (GpuMemory(), GpuMemory(ToldGpus({11: 100})), GpuMemory(ToldGpus({7: None}))):
        memory.look({7})
        assert memory.peak_mib is None


def test_a_watch_looks_at_the_gpu_memory_of_a_process_and_of_what_it_starts(tmp_path: Path) -> None:
    with Group(tmp_path / "log", limit_s=240) as group:
        child = group.start(python("input()"))
        watch = Watch(gpus=GpuMemory(ToldGpus({os.getpid(): 1_000, child.pid: 200, 0: 7})))
        watch.look([psutil.Process()], memory=False)
    assert watch.gpus.peak_mib == 1_200.0
