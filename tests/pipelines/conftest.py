"""One local Ray and one real engine, shared by every test that runs a job, and gone before other tests start."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from pipelines.base.given_config import config_with
from pipelines.base.ports import free_port
from tests.mlflow_database import new_database

if TYPE_CHECKING:
    from pipelines.job.engine import JobEngine

Job = Callable[..., dict[str, Any]]


@pytest.fixture(scope="package")
def http_port() -> int:
    """A port that is free, for Serve's HTTP proxy."""
    return free_port()


@pytest.fixture(scope="package")
def local_ray(http_port: int) -> Iterator[None]:
    """A Ray of this machine for all tests here, with the stand-in scorer; jobs find both, and leave them running."""
    import ray

    from pipelines.base.cluster import connected
    from serve_app.http.door import start_serve

    assert not ray.is_initialized()
    with connected(None):
        start_serve("127.0.0.1", http_port)
        stand_in = _running({"model": {"name": "overlap"}})
        yield
        stand_in.stop()


def _running(sections: dict[str, Any]) -> JobEngine:
    """What a job with these sections scores with, ready."""
    from pipelines.job.engine import JobEngine
    from serve_app.engine.models import describe

    config = config_with(sections | {"data": {"format": "jsonl", "path": "unused.jsonl"}}, {})
    running = JobEngine(describe(config.model), config)
    running.wait_until_ready()
    return running


@pytest.fixture(scope="package")
def served(application: str, poisoned_qwen3: Path) -> dict[str, Any]:
    """The sections of a config whose engine is running; a job with these settings reuses it."""
    return _sections(poisoned_qwen3)


@pytest.fixture(scope="package")
def application(local_ray: None, poisoned_qwen3: Path) -> Iterator[str]:
    """The name of the Serve application of `served`."""
    running = _running(_sections(poisoned_qwen3))
    assert running.app is not None
    yield running.app.name
    running.stop()


def _sections(model: Path) -> dict[str, Any]:
    return {
        "model": {"name": str(model), "max_length": 400, "canaries": "finite"},  # random weights make no sense
        "engine": {"compile": False, "kv_cache_gib": 0.5},
        "serve": {"health_check_period_s": 1.0, "retry_for_s": 240.0},
    }


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of one MLflow database for all tests of a file."""
    here = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        yield new_database(here / "mlflow.db")


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Write a run config whose results and tracking stay in the test's own folder."""

    uri = f"sqlite:///{tmp_path}/mlflow.db"

    def write(sections: dict[str, Any]) -> Path:
        if "tracking" not in sections and not (tmp_path / "mlflow.db").exists():
            new_database(tmp_path / "mlflow.db")
        mine = {
            "tracking": {"uri": uri, "experiment": "test"},
            "output": {"dir": str(tmp_path / "results")},
        }
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump(mine | sections, allow_unicode=True))
        return path

    return write


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
    """Write JSONL rows and give the `data` section that reads them."""

    def write(rows: list[dict[str, Any]]) -> dict[str, Any]:
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        return {"format": "jsonl", "path": str(path)}

    return write
