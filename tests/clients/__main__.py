"""`make test-clients`: one service, called by unmodified clients as their documentation says.

Their pins exclude each other, so each NAME.txt here is an environment of its own, made by pip as it is configured, and
made again when the file changes; NAME_clients.py runs in it. Ends with 1 where a client fails.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KEY = "a-key-of-the-clients"
NAMES = sorted(file.stem for file in HERE.glob("*.txt"))
START_TIMEOUT_S = 300
# The model that comes along, computed without vLLM: what answers is the same, and starts in seconds.
CONFIG = """
engine: {backend: transformers}
serve: {http: {port: PORT, page_port: null, model_names: [reranker]}}
"""


def environment(name: str, folder: Path) -> Path:
    """The Python of an environment with NAME.txt; made unless it is there as that file wants it."""
    wanted, made = HERE / f"{name}.txt", folder / name / "made-of.txt"
    python = folder / name / "bin" / "python"
    if made.is_file() and made.read_bytes() == wanted.read_bytes():
        return python
    print(f"{name}: made by pip", flush=True)
    venv.create(folder / name, clear=True, with_pip=True)
    # Apart from whatever environment this was started in.
    own = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    install = [python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--requirement", wanted]
    if code := subprocess.run(install, check=False, env=own).returncode:
        raise SystemExit(f"{name}: pip could not install {wanted} (exit {code}); see above")
    made.write_bytes(wanted.read_bytes())
    return python


@contextlib.contextmanager
def service() -> Iterator[str]:
    """The address of `rerank-eval serve`, which asks for KEY."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        config, log = Path(folder) / "serve.yaml", Path(folder) / "log"
        config.write_text(CONFIG.replace("PORT", str(port)))
        command = [sys.executable, "-m", "pipelines", "serve", "--config", str(config)]
        with log.open("w") as sink:
            running = subprocess.Popen(
                command, cwd=ROOT, env=os.environ | {"RERANK_EVAL_API_KEYS": KEY}, stdout=sink, stderr=sink
            )
        try:
            _wait(running, f"http://127.0.0.1:{port}/ready", log)
            yield f"http://127.0.0.1:{port}"
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(60)
            except subprocess.TimeoutExpired:
                running.kill()


def _wait(running: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until and running.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            if answer.status == 200:
                return
        time.sleep(0.5)
    raise SystemExit(f"the service did not start:\n{log.read_text()}")


def called(name: str, python: Path, url: str) -> list[dict[str, str]]:
    """A row for each client, as tests.clients.calls prints them."""
    told = os.environ | {"RERANK_EVAL_URL": url, "RERANK_EVAL_KEY": KEY, "PYTHONPATH": str(HERE)}
    command = [python, HERE / f"{name}_clients.py"]
    done = subprocess.run(command, env=told, stdout=subprocess.PIPE, text=True, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not rows:
        rows.append({"client": name, "version": "", "called": f"{name}_clients.py", "fault": f"exit {done.returncode}"})
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES, help=f"environments; all by default: {', '.join(NAMES)}")
    parser.add_argument("--environments", type=Path, default=ROOT / ".venv-clients", help="where they are kept")
    given = parser.parse_args()
    pythons = {name: environment(name, given.environments) for name in given.names}
    with service() as url:
        rows = [row for name, python in pythons.items() for row in called(name, python, url)]
    for row in rows:
        print(f"{row['client']:<42} {row['version']:<10} {row['called']:<44} {row['fault'] or 'ok'}")
    failed = sum(bool(row["fault"]) for row in rows)
    print(f"{len(rows) - failed} of {len(rows)} clients are served")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
