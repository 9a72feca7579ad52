"""A real MLflow server in a process of its own, that can be killed and started again where it was."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from pipelines.base.ports import free_port
from tests.mlflow_database import new_database


class MlflowServer:
    """Its database and its artifacts lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.database, self.artifacts = folder / "server.db", folder / "artifacts"
        self._port = free_port()
        self.uri = f"http://127.0.0.1:{self._port}"
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Raises RuntimeError with the server's log where it does not come up."""
        if not self.database.exists():
            new_database(self.database)
        stores = ["--backend-store-uri", f"sqlite:///{self.database}", "--artifacts-destination", str(self.artifacts)]
        place = ["--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *stores, *place],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"},
            )
        until_s = time.monotonic() + 120
        while time.monotonic() < until_s and self._process.poll() is None:
            try:
                with urlopen(f"{self.uri}/health", timeout=5):
                    return
            except (URLError, OSError):
                time.sleep(0.2)
        raise RuntimeError(self._log.read_text())

    def kill(self) -> None:
        """At once, with its workers, whatever they do."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
