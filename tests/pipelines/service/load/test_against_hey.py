"""The load test's figures against those of `hey`, another load generator, on the same target."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest

from pipelines.service.load.client import sender
from pipelines.service.load.payload_shape import Payload, ShapePayloads, parse_shape
from pipelines.service.load.steps import Recorder, Window, closed_step
from pipelines.service.target import Target

# Requests that take long beside what a client adds to them, on a busy machine too: there a process waits some ms before
# it runs again, and a Python client longer than another.
ROUNDS, MOST_ROUNDS, CLIENTS, REQUESTS_EACH, DELAY_S = 3, 12, 8, 4, 0.5
APART = 0.1
FIGURES = ("requests_per_s", "mean_ms", "p95_ms")
Measured = dict[str, float]
# What this machine leaves to any process: by how much 10 ms of work after a wait take longer than that (s), each time.
BESIDE = f"""
import json, time
late = []
for _ in range({REQUESTS_EACH}):
    began, worked = time.perf_counter(), time.process_time()
    time.sleep({DELAY_S})
    while time.process_time() - worked < 0.01: pass
    late.append(time.perf_counter() - began - {DELAY_S} - 0.01)
print(json.dumps(late))
"""

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(shutil.which("hey") is None, reason="hey is not installed (Debian package hey)"),
]


@pytest.fixture
def url() -> Iterator[str]:
    """A server that takes DELAY_S for each request, in a process of its own."""
    command = [sys.executable, "-m", "tests.load_server", str(DELAY_S)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        server.stdin.close()
        server.wait(60)


def started(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def said(process: subprocess.Popen[str]) -> str:
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    return out


def hey(url: str, body: Path) -> subprocess.Popen[str]:
    options = ["-n", str(CLIENTS * REQUESTS_EACH), "-c", str(CLIENTS), "-t", "60"]
    return started("hey", *options, "-m", "POST", "-T", "application/json", "-D", str(body), f"{url}/v1/rerank")


def told_by_hey(out: str) -> Measured:
    assert f"[200]\t{CLIENTS * REQUESTS_EACH} responses" in out and "Error distribution" not in out, out
    found = {
        "requests_per_s": r"Requests/sec:\s+([\d.]+)",
        "mean_ms": r"Average:\s+([\d.]+) secs",
        "p95_ms": r"95% in ([\d.]+) secs",
    }
    told = {name: re.search(pattern, out) for name, pattern in found.items()}
    return {name: float(one[1]) * (1e3 if name.endswith("_ms") else 1) for name, one in told.items() if one}


def by_us(url: str, payload: Payload) -> Measured:
    async def measure() -> Measured:
        async with sender(Target(url), 60) as send:
            # Each client begins its last request before the end, and finishes it.
            window = Window((REQUESTS_EACH - 0.5) * DELAY_S, 60, asyncio.Event())
            step = await closed_step(send, lambda: payload, CLIENTS, window, Recorder())
        assert step.latency is not None and not step.errors
        return {
            "requests_per_s": step.requests_per_s,
            "mean_ms": step.latency.mean_ms,
            "p95_ms": step.latency.p95_ms,
        }

    return asyncio.run(measure())


def test_throughput_and_latency_agree_with_those_of_hey_within_10_percent(url: str, tmp_path: Path) -> None:
    payload = ShapePayloads(parse_shape("1x10x100")).take(None)
    body = tmp_path / "body.json"
    body.write_bytes(payload.body)
    by_us(url, payload)  # not measured: both meet a warm server
    theirs: list[Measured] = []
    ours: list[Measured] = []
    late_s: list[float] = []
    apart = dict.fromkeys(FIGURES, float("inf"))
    while len(ours) < MOST_ROUNDS and any(abs(share) > APART for share in apart.values()):
        for _ in range(ROUNDS):  # both at once, so that both meet whatever else the machine does
            with started(sys.executable, "-c", BESIDE) as beside, hey(url, body) as other:
                ours.append(by_us(url, payload))
                theirs.append(told_by_hey(said(other)))
                late_s += json.loads(said(beside))
        apart = {
            name: median(one[name] / two[name] for one, two in zip(ours, theirs, strict=True)) - 1 for name in FIGURES
        }
        print(f"after {len(ours)} rounds, ours to hey's:", {name: f"{share:+.1%}" for name, share in apart.items()})
    if (why := too_busy(theirs, late_s)) and any(abs(share) > APART for share in apart.values()):
        pytest.skip(f"{apart}, on a machine that is too busy to tell: {why}")
    assert all(abs(share) <= APART for share in apart.values()), apart


def too_busy(theirs: list[Measured], late_s: list[float]) -> str | None:
    """Why this machine cannot tell two load generators apart: one's own rounds differ as much, or any process waits."""
    for name in FIGURES:
        rounds = [one[name] for one in theirs]
        if (spread := (max(rounds) - min(rounds)) / median(rounds)) > APART:
            return f"hey's own rounds are up to {spread:.0%} apart in {name}"
    latest_s = sorted(late_s)[int(0.95 * len(late_s))]
    if latest_s > APART * DELAY_S / 2:
        return f"10 ms of work take up to {latest_s * 1e3:.0f} ms longer"
    return None
