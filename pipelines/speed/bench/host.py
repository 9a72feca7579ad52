"""An application that is up before a job asks for it: `python -m pipelines.speed.bench.host CONFIG.yaml OUT.json`.

Starts the engines of a run config on a Ray of this machine, writes how to reach it once they answer (`address`, and
the `environment` that a job needs), and takes all of it down when its stdin ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path

from pipelines.base.cluster import connected
from pipelines.base.config import load_config
from pipelines.base.local_ray import TOKEN
from pipelines.job.engine import JobEngine
from serve_app.engine.models import describe

AUTH_MODE = "RAY_AUTH_MODE"


def main(config_file: Path, out: Path) -> None:
    import ray

    config = load_config(config_file)
    stop = threading.Event()
    threading.Thread(target=_until_stdin_ends, args=(stop,), daemon=True).start()
    with connected(None, config.serve.replicas, config.serve.niceness):
        signal.signal(signal.SIGTERM, lambda *_: stop.set())  # after Ray has set its own
        engine = JobEngine(describe(config.model, config.engine.backend), config)
        try:
            engine.wait_until_ready()
            # Where the user has a Ray token, a local cluster wants it, and only the process that started it knows.
            mode = {name: os.environ[name] for name in (AUTH_MODE, TOKEN) if name in os.environ}
            told = {"address": ray.get_runtime_context().gcs_address, "environment": mode}
            partial = out.with_suffix(".partial")
            partial.write_text(json.dumps(told), encoding="utf-8")
            os.replace(partial, out)
            stop.wait()
        finally:
            engine.stop()


def _until_stdin_ends(stop: threading.Event) -> None:
    sys.stdin.buffer.read()
    stop.set()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
