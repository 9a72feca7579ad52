"""A tracking URI that MLflow can never log to is refused before anything is scored."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.base.ports import free_port
from pipelines.tracking.sync import sync_run
from pipelines.tracking.uri import check_tracking
from stages.core.errors import ConfigError
from tests.logged_folders import make_folder

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("uri", ["./mlruns", "mlruns", "file:///srv/mlruns", "file:mlruns", "/srv/mlruns", ""])
def test_a_folder_of_files_is_refused_as_mlflow_refuses_it(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    import mlflow
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    with pytest.raises(ConfigError, match=r"is a folder, and MLflow 3 logs to none .* Use sqlite:///mlflow.db"):
        check_tracking(uri)
    if uri:
        with pytest.raises(mlflow.exceptions.MlflowException, match="MLFLOW_ALLOW_FILE_STORE=true"):
            MlflowClient(uri).search_experiments()
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    assert check_tracking(uri) is None


def test_what_a_folder_holds_can_be_brought_along(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MLFLOW_ALLOW_FILE_STORE", raising=False)
    with pytest.raises(ConfigError, match=f"mlflow migrate-filestore --source {tmp_path} --target sqlite:///mlflow.db"):
        check_tracking(f"file://{tmp_path}")


@pytest.mark.parametrize("uri", ["sqllite:///mlflow.db", "s3://bucket/mlruns", "htpp://server:5000"])
def test_a_scheme_that_mlflow_does_not_know_is_refused_with_the_nearest_one(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"MLflow knows no .*; did you mean "):
        check_tracking(uri)


def test_a_database_without_its_driver_is_refused_with_what_to_install() -> None:
    with pytest.raises(ConfigError, match="pip install ") as refused:
        check_tracking("mysql://user:secret@host/db")
    assert "pip install mysqlclient" in str(refused.value) and "secret" not in str(refused.value)
    with pytest.raises(ConfigError, match="is no URI of a database"):
        check_tracking("postgresql+none://host/db")


@pytest.mark.parametrize(
    "uri", ["postgresql+psycopg2://user:secret@host:port/db", "http://user:secret@host:port", "http://[::1"]
)
def test_an_address_that_cannot_be_read_is_refused_without_its_password(uri: str) -> None:
    with pytest.raises(ConfigError, match=r"^tracking\.uri ") as refused:
        check_tracking(uri)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_in_memory_keeps_nothing(uri: str) -> None:
    with pytest.raises(ConfigError, match="is in memory"):
        check_tracking(uri)


def test_a_server_that_does_not_answer_now_is_remarked() -> None:
    assert "does not answer now (Connection refused)" in str(check_tracking(f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(ConfigError, match="names no server"):
        check_tracking("http://")


def test_so_is_a_database_whose_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "mlflow.db", tmp_path):
        assert "cannot be written now" in str(check_tracking(f"sqlite:///{place}"))
    for uri in (f"sqlite:///{tmp_path}/new/mlflow.db", f"sqlite:///{tmp_path}/file", None, "databricks"):
        assert check_tracking(uri) is None


@pytest.mark.heavy
@pytest.mark.parametrize("more", [["--dry-run"], []], ids=["dry-run", "run"])
def test_a_run_is_refused_before_it_begins(tmp_path: Path, more: list[str]) -> None:
    command = [sys.executable, "-m", "pipelines", "run", "--config", "demo", "--set", "tracking.uri=./mlruns", *more]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("rerank-eval: tracking.uri ./mlruns is a folder") and done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_sync_names_a_command_that_works(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", "file:///srv/mlruns")
    with pytest.raises(ConfigError, match=r"--uri sqlite:///mlflow.db") as refused:
        sync_run(folder.path)
    assert f"rerank-eval sync {folder.path} --uri" in str(refused.value)
    assert sync_run(folder.path, f"sqlite:///{tmp_path}/mlflow.db")
