"""A service for the fault scripts: started as a user would, watched from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from pipelines.base.ports import free_port
from tests.faults.jobs import ROOT

START_S, STOP_S = 300.0, 120.0
REPLICA, PROXY, CONTROLLER = "ServeReplica:", "ProxyActor", "ServeController"


@dataclass(slots=True)
class Service:
    """`rerank-eval serve` as a process of its own. `starting` counts what it answered before it was ready, by status
    and media type.
    """

    port: int
    process: subprocess.Popen[bytes]
    log: Path
    starting: Counter[tuple[int, str]] = field(default_factory=Counter)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                self.ask_once(self.starting)
                if httpx.get(f"{self.url}/ready", timeout=10).status_code == 200:
                    return
            time.sleep(0.2)
        sys.exit(f"the service did not start: {self.log.read_text(encoding='utf-8')[-2000:]}")

    def ask_once(self, answers: Counter[tuple[int, str]]) -> None:
        answer = httpx.post(f"{self.url}/v1/rerank", json={"query": "q", "documents": ["d"]}, timeout=30)
        answers[answer.status_code, answer.headers.get("content-type", "")] += 1

    def processes(self, name: str) -> dict[int, float]:
        """Its running processes whose title holds `name`: process id -> when it was started."""
        found = {}
        for one in psutil.Process(self.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if name in " ".join(one.cmdline()):
                    found[one.pid] = one.create_time()
        return found

    def memory_mib(self, name: str) -> float:
        """The largest resident memory of the processes whose title holds `name`."""
        sizes = [0.0]
        for pid in self.processes(name):
            with contextlib.suppress(psutil.Error):
                sizes.append(psutil.Process(pid).memory_info().rss / (1 << 20))
        return max(sizes)

    def stop(self, answers: Counter[tuple[int, str]]) -> int:
        """As systemd does; `answers` counts what it answers meanwhile. Gives its exit code."""
        self.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while self.process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                self.ask_once(answers)
            time.sleep(0.05)
        return self.process.wait(1)


@contextlib.contextmanager
def service(config: Path, folder: Path, *overrides: str) -> Iterator[Service]:
    """The service of a config, ready."""
    port = free_port()
    command = [sys.executable, "-m", "pipelines", "serve", "--config", str(config), "--no-ui", "--port", str(port)]
    command += [f"--set={one}" for one in overrides]
    log = folder / "service.log"
    with log.open("wb") as out:
        environment = os.environ | {"HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
    running = Service(port, process, log)
    try:
        running.wait_until_ready()
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(STOP_S)
