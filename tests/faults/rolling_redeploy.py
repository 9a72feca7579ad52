"""Two replicas of a tiny Qwen3 behind the HTTP service: they grow from one under load, and are replaced under load.

Takes five minutes on two cores, too slow for the suite: `python -m tests.faults.rolling_redeploy`. Exit code 1 where a
request failed, the second replica did not come, or the change did not.
"""

from __future__ import annotations

import contextlib
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import ray
from ray import serve

from pipelines.base.cluster import connected
from serve_app.engine.models import describe
from serve_app.http.door import start_serve
from serve_app.http.ingress import build_ingress
from serve_app.replica.app import AppSettings, RunningApp, build_app, run_app
from serve_app.replica.collector import collector_of
from serve_app.replica.status import wait_until_up
from serve_app.settings import DeploymentSettings, EngineSettings, ModelSettings
from tests.tiny_models import make_tiny_qwen3

PORT = 8766
URL = f"http://127.0.0.1:{PORT}"
CLIENTS = 16
PATIENCE_S = 300.0


def settings(model: Path, max_length: int) -> AppSettings:
    prompt = ModelSettings(name=str(model), max_length=max_length)
    engine = EngineSettings(compile=False, kv_cache_gib=0.25)
    deployment = DeploymentSettings(application="redeployed", replicas=1, max_replicas=2, target_calls=2)
    return AppSettings(describe(prompt), prompt, engine, deployment)


@contextlib.contextmanager
def load(statuses: Counter[int]) -> Iterator[None]:
    """Clients that ask without pause, and count the answers by status."""
    done = threading.Event()

    def ask_on() -> None:
        with httpx.Client(timeout=120) as client:
            while not done.is_set():
                body = {"query": f"query {random.randrange(20)}", "documents": ["calm sea", "stormy weather"] * 5}
                statuses[client.post(f"{URL}/v1/rerank", json=body).status_code] += 1

    threads = [threading.Thread(target=ask_on) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def wait_for(what: str, wanted: int, count: object) -> None:
    started_s = time.monotonic()
    while (now := count()) < wanted:  # type: ignore[operator]
        if time.monotonic() - started_s > PATIENCE_S:
            sys.exit(f"{what}: {now} instead of {wanted} after {PATIENCE_S:.0f} s")
        time.sleep(1)
    print(f"{what}: {now} after {time.monotonic() - started_s:.0f} s under load", flush=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, connected(None, replicas=3):
        model = make_tiny_qwen3(Path(folder))
        before = settings(model, 500)
        start_serve("127.0.0.1", PORT)
        app = RunningApp(before)
        app.wait_until_ready()
        run_app(build_ingress(before, before.deployment.http, []), "api", route="/")
        wait_until_up("api", 60)
        collector, statuses = collector_of(before.name), Counter[int]()
        with load(statuses):
            wait_for("replicas that answer", 2, lambda: httpx.get(f"{URL}/ready", timeout=30).json()["replicas"])
            ever = len(ray.get(collector.replicas.remote()))
            run_app(build_app(settings(model, 400)), before.name, route=None)
            wait_for("replicas ever started", ever + 1, lambda: len(ray.get(collector.replicas.remote())))
            wait_until_up(before.name, PATIENCE_S)
            time.sleep(5)
        print(f"answers by status: {dict(statuses)}")
        serve.delete("api")
        app.stop()
    sys.exit(0 if set(statuses) == {200} else 1)


if __name__ == "__main__":
    main()
