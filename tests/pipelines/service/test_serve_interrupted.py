"""A service that is told to stop while it starts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.base.ports import free_port

ROOT = Path(__file__).parents[3]


@pytest.mark.heavy
@pytest.mark.thorough
def test_sigterm_while_the_engine_starts_ends_it_in_one_line(tmp_path: Path) -> None:
    http = {"port": free_port(), "page_port": None}
    config = {"model": {"name": "embedded:all-MiniLM-L6-v2"}, "serve": {"http": http}}
    (tmp_path / "serve.yaml").write_text(json.dumps(config))
    command = [sys.executable, "-u", "-m", "pipelines", "serve", "--config", str(tmp_path / "serve.yaml")]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any(line.startswith("logs ") for line in process.stdout), "Ray is up, the engine is not"
        process.send_signal(signal.SIGTERM)
        errors = process.communicate(timeout=120)[1]
    assert (process.returncode, errors) == (130, "rerank-eval: interrupted\n")
