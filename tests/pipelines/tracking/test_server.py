"""A server that is killed while a run is logged: the next `sync` leaves what an undisturbed one does."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient

from pipelines.runs.folder import RunFolder
from pipelines.tracking.client import IMPATIENT, RUN_TAG
from pipelines.tracking.find import latest_runs
from pipelines.tracking.sync import sync_run
from stages.core.errors import TrackingError
from stages.telemetry.telemetry import TimelinePoint
from tests.logged_folders import RUN_ID, make_folder
from tests.mlflow_database import new_database
from tests.mlflow_server import MlflowServer

pytestmark = pytest.mark.heavy

SECONDS, FILES = 1200, 24


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowServer]:
    for name in IMPATIENT:
        monkeypatch.setenv(name, "unset")
        monkeypatch.delenv(name)
    # A server on a busy machine may be slow; here it is either up or killed.
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    monkeypatch.chdir(tmp_path)  # where MLflow puts artifacts of a database
    started = MlflowServer(tmp_path)
    started.start()
    try:
        yield started
    finally:
        started.kill()


def make_long_folder(path: Path, uri: str) -> RunFolder:
    """A run that takes seconds to log: an hour's timeline, many files."""
    folder = make_folder(path, uri)
    folder.write_timeline(
        [TimelinePoint(float(s), s, s, 10.0 + s % 7, 200.0, s % 3, 5, 0.25, 0.5, 42.0) for s in range(SECONDS)]
    )
    for number in range(FILES):
        pq.write_table(pa.table({"query_id": [f"q{number}"]}), folder.rankings / f"part-{number:05}.parquet")
    make_folder(folder.path / "runs" / "dense", uri)
    return folder


def count(database: Path, table: str) -> int:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        found: int = connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
        return found


def sync_until(folder: RunFolder, server: MlflowServer, reached: Callable[[], bool]) -> None:
    """Sync, and kill the server as soon as this much is there."""
    errors: list[BaseException] = []

    def sync() -> None:
        try:
            sync_run(folder.path)
        except TrackingError as error:
            errors.append(error)

    syncing = threading.Thread(target=sync)
    syncing.start()
    while syncing.is_alive() and not reached():
        time.sleep(0.01)
    server.kill()
    syncing.join()
    assert len(errors) == 1, "it was logged before the server was killed"


def contents(database: Path, uri: str, run_id: str, to: Path) -> dict[str, Any]:
    """All that a run holds but MLflow's own ids and times of its own."""
    client = MlflowClient(uri)
    run = client.get_run(run_id)
    with contextlib.closing(sqlite3.connect(database)) as connection:
        history = connection.execute(
            "SELECT key, value, timestamp, step, is_nan FROM metrics WHERE run_uuid = ?", [run_id]
        )
        points = sorted(history.fetchall())
    to.mkdir()
    copied = Path(client.download_artifacts(run_id, "", str(to)))
    tags = {name: value for name, value in run.data.tags.items() if name != "mlflow.parentRunId"}
    return {
        "name": run.info.run_name,
        "status": run.info.status,
        "times": (run.info.start_time, run.info.end_time),
        "params": run.data.params,
        "tags": tags,
        "is part of another": "mlflow.parentRunId" in run.data.tags,
        "latest": run.data.metrics,
        "history": points,
        "inputs": [
            (one.dataset.to_dictionary(), [(tag.key, tag.value) for tag in one.tags])
            for one in run.inputs.dataset_inputs
        ],
        "artifacts": {
            str(file.relative_to(copied)): file.read_bytes() for file in sorted(copied.rglob("*")) if file.is_file()
        },
    }


@pytest.mark.thorough
def test_a_server_killed_while_numbers_and_while_files_are_logged_leaves_no_trace_after_the_next_sync(
    server: MlflowServer, tmp_path: Path
) -> None:
    folder = make_long_folder(tmp_path / "results" / RUN_ID, server.uri)
    sync_until(folder, server, lambda: count(server.database, "metrics") > SECONDS)
    server.start()
    uploaded = server.artifacts / "1"
    sync_until(folder, server, lambda: len(list(uploaded.rglob("part-*.parquet"))) > FILES // 4)
    server.start()
    broken = MlflowClient(server.uri).search_runs(["1"], f"tags.`{RUN_TAG}` = '{RUN_ID}'")
    assert [run.info.status for run in broken] == ["RUNNING", "RUNNING"]

    run_id = sync_run(folder.path)

    client = MlflowClient(server.uri)
    active = client.search_runs(["1"], run_view_type=ViewType.ACTIVE_ONLY)
    assert sorted(run.info.run_name for run in active) == [RUN_ID, f"{RUN_ID}.dense"]
    assert {run.name for run in latest_runs(server.uri, "test", dataset=None)} == {RUN_ID, f"{RUN_ID}.dense"}
    undisturbed = new_database(tmp_path / "undisturbed.db")
    expected_id = sync_run(folder.path, undisturbed)
    [part] = [run.info.run_id for run in active if run.info.run_id != run_id]
    [expected_part] = [
        run.info.run_id for run in MlflowClient(undisturbed).search_runs(["1"]) if run.info.run_id != expected_id
    ]
    for number, (ours, expected) in enumerate([(run_id, expected_id), (part, expected_part)]):
        told = contents(server.database, server.uri, ours, tmp_path / f"told-{number}")
        wanted = contents(tmp_path / "undisturbed.db", undisturbed, expected, tmp_path / f"wanted-{number}")
        for field, value in wanted.items():
            assert told[field] == value, field
        assert told["status"] == "FINISHED"
    assert len(contents(server.database, server.uri, run_id, tmp_path / "again")["history"]) > 7 * SECONDS
