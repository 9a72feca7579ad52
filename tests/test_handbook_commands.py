"""Each command of the handbook runs, as its reader would run it, while the demo's service is up."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.base.ports import free_port
from tests.shown_texts import ShownText, called, reader_environment

pytestmark = pytest.mark.heavy

HANDBOOK = ShownText("HANDBOOK.md")
URL = "http://127.0.0.1:8000"
READY_WITHIN_S = 240.0
ASKS_THE_SERVICE = re.compile(r"^rerank-eval (watch|diagnose|loadtest|verify)\b")


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return HANDBOOK.workplace(tmp_path_factory.mktemp("operator"))


@pytest.fixture(scope="module")
def url(workplace: Path) -> Iterator[str]:
    """The service that the book has its reader start, on a port that is free."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    start = ["rerank-eval", "serve", "--config", "configs/demo.yaml", "--port", str(port), "--no-ui"]
    with (workplace / "serve.log").open("w") as log:
        service = subprocess.Popen(
            start, cwd=workplace, env=reader_environment(), stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until_ready(address, service, workplace / "serve.log")
        yield address
    finally:
        os.kill(service.pid, signal.SIGINT)
        try:
            service.wait(180)
        except subprocess.TimeoutExpired:
            os.killpg(service.pid, signal.SIGKILL)


def wait_until_ready(url: str, service: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while True:
        assert service.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            with urllib.request.urlopen(f"{url}/ready", timeout=5):
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.5)


@pytest.mark.thorough
def test_each_command_runs_as_shown(url: str, workplace: Path) -> None:
    sessions = HANDBOOK.sessions()
    assert len(sessions) > 10
    for command, output in sessions:
        typed = command.replace(URL, url) + (f" --url {url}" if ASKS_THE_SERVICE.match(command) else "")
        done = called(typed, workplace)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, f"{command}\n{done.stderr}"
        assert not output.strip() or done.stdout == output
    assert list((workplace / "diagnoses").glob("latest/diagnosis.json"))
    assert list((workplace / "loadtests").glob("latest/steps.csv"))
    assert list((workplace / "verifications").glob("latest/verify.json"))
