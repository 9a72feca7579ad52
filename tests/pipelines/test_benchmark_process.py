"""The processes of a benchmark's contenders: watched by role, told why they failed, and none of them left."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from pipelines.bench.process import Group, Watch, role_of
from stages.errors import EngineError


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("title", "role"),
    [
        ("VLLM::Worker", "engine worker"),
        ("VLLM::EngineCore_DP0", "engine core"),
        ("python -m vllm.entrypoints.openai.api_server --port 1", "vLLM server"),
        ("ray::ServeReplica:rerank-0a1b:reranker", "replica"),
        ("ray::ServeReplica:rerank-0a1b-api:api", "HTTP api"),
        ("ray::ServeReplica:rerank-0a1b:reranker.score", "replica"),
        ("ray::ProxyActor", "Serve proxy"),
        ("ray::MapWorker(MapBatches(RerankBatches)).submit()", "workers"),
        ("ray::Collector", "collector"),
        ("ray::ServeController", "Serve controller"),
        ("/x/ray/core/src/ray/gcs/gcs_server --log_dir", "GCS"),
        ("/x/ray/core/src/ray/raylet/raylet --store", "raylet and agents"),
        ("python -m pipelines.run --config f", "driver"),
        ("python -m pipelines.bench.client job.json", "client"),
        ("python -m pipelines.bench.library job.json", "library"),
        ("python -m serve_app.bare_engine job.json", "caller"),
        ("sleep 3", "other"),
    ],
)
def test_a_processs_title_tells_its_role(title: str, role: str) -> None:
    assert role_of(title) == role


def test_processor_time_between_two_moments_is_interpolated() -> None:
    points = [(10.0, {"a": 0.0}), (20.0, {"a": 5.0, "b": 0.0}), (30.0, {"a": 5.0, "b": 4.0})]
    watch = Watch([(at_s, Counter(spent)) for at_s, spent in points])
    assert watch.between(15.0, 25.0) == pytest.approx({"a": 2.5, "b": 2.0})
    assert watch.between(0.0, 99.0) == pytest.approx({"a": 5.0, "b": 4.0})
    assert Watch().between(0.0, 1.0) == {}


def test_a_group_sees_the_processor_time_and_memory_of_what_its_process_starts(tmp_path: Path) -> None:
    busy = "import time; t = time.process_time()\nwhile time.process_time() - t < 1.5: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    with Group(tmp_path / "log", limit_s=120) as group:
        began_s = time.time()
        group.finish(group.start(python(code)))
    assert 0.5 < sum(group.watch.between(began_s, time.time()).values()) < 4
    assert group.watch.peak_mib > 1


def test_leaving_a_group_ends_what_its_processes_started(tmp_path: Path) -> None:
    """The grandchild has a session of its own, and would outlive its parent."""
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)"
    )
    with Group(tmp_path / "log", limit_s=120) as group:
        group.start(python(code))
        while len(group.watch.seen) < 2:
            group.check_time()
            time.sleep(0.05)
    left = [one for one in group.watch.seen if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
    assert left == []
    assert not psutil.pid_exists(int((tmp_path / "pid").read_text()))


def test_a_process_that_fails_is_told_with_the_last_error_of_its_log(tmp_path: Path) -> None:
    with Group(tmp_path / "log", limit_s=120) as group, pytest.raises(EngineError) as caught:
        group.finish(group.start(python("print('fine'); raise ValueError('too many layers')")))
    assert "exit code 1: ValueError: too many layers" in str(caught.value)
    assert str(tmp_path / "log") in str(caught.value)


def test_the_reason_is_the_root_cause_and_not_what_points_at_it(tmp_path: Path) -> None:
    said = "ValueError: no room\nRuntimeError: Engine core initialization failed. See root cause above.\n"
    with Group(tmp_path / "log", limit_s=120) as group:
        group.log.write_text(said)
        assert group.reason() == f"ValueError: no room ({group.log})"


def test_a_client_does_not_wait_for_a_server_that_is_gone(tmp_path: Path) -> None:
    with Group(tmp_path / "log", limit_s=120) as group:
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
    with Group(tmp_path / "log", limit_s=120) as group:
        group.finish(group.start(python(code), {"VLLM_CPU_OMP_THREADS_BIND": "0-1"}))
    assert (tmp_path / "log").read_text() == "None 0-1\n"
