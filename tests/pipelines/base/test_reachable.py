"""A Ray cluster that is not there is told within seconds, in one line: real ports, and a real command."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines.base import reachable
from pipelines.base.ports import free_port
from pipelines.base.reachable import require_cluster
from stages.core.errors import ConfigError, EngineError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """A port, in the list's first place, that answers each caller with what is in the second."""
    monkeypatch.setattr(reachable, "ANSWER_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        told = [str(server.getsockname()[1]).encode(), b""]

        def answer() -> None:
            while True:
                try:
                    caller, _ = server.accept()
                except OSError:
                    return
                caller.recv(100)
                caller.sendall(told[1])
                caller.recv(100)

        threading.Thread(target=answer, daemon=True).start()
        yield told


def test_a_port_that_nobody_listens_at_is_told_with_what_to_do() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(EngineError, match=f"no Ray cluster at {address}: Connection refused. Start it, give another"):
        require_cluster(address)
    with pytest.raises(EngineError, match="no Ray cluster at ray://127"):
        require_cluster(f"ray://{address}")


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n"])
def test_a_port_of_something_else_is_no_cluster(answering: list[bytes], said: bytes) -> None:
    answering[1] = said
    address = f"127.0.0.1:{answering[0].decode()}"
    with pytest.raises(EngineError, match=f"what answers at {address} is no Ray cluster"):
        require_cluster(address)


def test_whoever_answers_as_http_2_does_may_be_one(answering: list[bytes]) -> None:
    answering[1] = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    require_cluster(f"127.0.0.1:{answering[0].decode()}")
    require_cluster(f"ray://127.0.0.1:{answering[0].decode()}")


@pytest.mark.parametrize("address", ["head", "head:", "tcp://head:1", "host:name"])
def test_an_address_of_no_known_form_is_a_mistake(address: str) -> None:
    with pytest.raises(ConfigError, match="is not of the form host:6379"):
        require_cluster(address)


def test_a_job_servers_address_is_told_apart() -> None:
    with pytest.raises(ConfigError, match="is a job server's, which `rerank-eval submit` takes"):
        require_cluster("http://head:8265")


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("command", "address"),
    [
        (["run", "--config", "demo"], "127.0.0.1:{port}"),
        (["serve", "--config", "demo", "--no-ui", "--port", "0"], "ray://127.0.0.1:{port}"),
        (["run", "--config", "demo"], "auto"),
        (["run", "--config", "demo"], "http://127.0.0.1:{port}"),
        (["submit", "--config", "demo"], "http://127.0.0.1:{port}"),
    ],
    ids=["run", "serve", "auto", "http", "submit"],
)
def test_each_command_ends_with_one_line(tmp_path: Path, command: list[str], address: str) -> None:
    environment = os.environ | {
        "RAY_ADDRESS": address.format(port=free_port()),
        "PYTHONPATH": str(ROOT),
        "RAY_TMPDIR": str(tmp_path),  # no file there names a cluster
        "RAY_AUTH_MODE": "disabled",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pipelines", *command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("rerank-eval: ") and done.stderr.count("\n") == 1, done.stderr
