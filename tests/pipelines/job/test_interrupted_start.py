"""Ctrl-C while an engine starts ends all of it, and waits for no engine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.heavy, pytest.mark.thorough]

ROOT = Path(__file__).parents[3]
LIMIT_S = 300.0
SESSION = re.compile(r"--session[-_]dir=(\S+)")
READY = "init engine"  # what the engine's process says when it can score
# What Serve's controller says of a replica that went away unasked, and of one that is gone.
LOST, STOPPED = "Exception in Replica", "is stopped"


@pytest.fixture
def started(tiny_qwen3: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A job of its own, with a Ray and an engine of its own."""
    rows, config = tmp_path / "rows.jsonl", tmp_path / "run.yaml"
    rows.write_text(json.dumps({"query_id": "1", "query": "q", "documents": ["a", "b"]}) + "\n", encoding="utf-8")
    sections = {
        "data": {"format": "jsonl", "path": str(rows)},
        "model": {"name": str(tiny_qwen3), "canaries": "finite"},
        "tracking": {"uri": None},
        "output": {"dir": str(tmp_path / "results")},
    }
    config.write_text(json.dumps(sections), encoding="utf-8")
    command = [sys.executable, "-m", "pipelines", "run", "--config", str(config)]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **streams) as process:
        yield process
        if process.poll() is None:
            process.kill()


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def of_the_job(process: subprocess.Popen[str], known: dict[psutil.Process, str]) -> str:
    """The titles of all processes that it has started so far, noted in `known`."""
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            known[child] = " ".join(child.cmdline())
        except psutil.Error:
            continue
    return "\n".join(known.values())


def test_ctrl_c_while_an_engine_starts_waits_for_no_engine_and_leaves_no_process(
    started: subprocess.Popen[str],
) -> None:
    known: dict[psutil.Process, str] = {}
    wait_for(lambda: "serve_app.engine.warm_start" in of_the_job(started, known))
    os.killpg(started.pid, signal.SIGINT)
    said, _ = started.communicate(timeout=LIMIT_S)
    assert started.returncode == 130
    assert said.splitlines()[-1] == "rerank-eval: interrupted" and "Traceback" not in said
    found = SESSION.search("\n".join(known.values()))
    assert found, "Ray's own processes are told where its logs are"
    logs = [file.read_text(errors="replace") for file in Path(found[1], "logs").glob("worker-*")]
    assert logs and not any(READY in one for one in logs)
    (serve,) = [file.read_text() for file in Path(found[1], "logs", "serve").glob("controller_*.log")]
    assert LOST in serve or STOPPED not in serve, "it was waited for until Serve had drained a replica that starts"
    wait_for(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in known))
