"""What a run folder says is what MLflow holds, once, however often it is logged; a dead server costs no result."""

from __future__ import annotations

import contextlib
import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from mlflow.entities import Run, ViewType
from mlflow.tracking import MlflowClient

from pipelines.base.ports import free_port
from pipelines.base.sections import TrackingSettings
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import read_run_folder
from pipelines.tracking.client import IMPATIENT, RUN_TAG, schema_fault, track
from pipelines.tracking.content import artifacts, run_note, run_tags
from pipelines.tracking.copying import copy_results
from pipelines.tracking.find import set_tags
from pipelines.tracking.sync import sync_run
from pipelines.tracking.values import SERIES, run_metrics
from stages.core.errors import DataError, TrackingError
from tests.examples import examples
from tests.logged_folders import ANALYSIS, BUSY, DIGEST, METRICS, POINTS, RUN_ID, make_folder
from tests.mlflow_database import new_database
from tests.patience import waits_from_now_on

pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of one MLflow database for all tests of this file."""
    here = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        for name in IMPATIENT:
            patch.delenv(name, raising=False)
        yield new_database(here / "mlflow.db")


@pytest.fixture(scope="module")
def logged_twice(store: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, list[Run]]:
    """A folder that was logged and logged again, and the MLflow run that each time left."""
    folder = make_folder(tmp_path_factory.mktemp("results") / RUN_ID, store)
    client = MlflowClient(store)
    runs = []
    for _ in range(2):
        run_id = sync_run(folder.path)
        runs.append(client.get_run(run_id))
    return folder, runs


@pytest.fixture(scope="module")
def logged(logged_twice: tuple[RunFolder, list[Run]]) -> Run:
    return logged_twice[1][-1]


def test_the_run_is_finished_and_named_as_its_folder(logged: Run) -> None:
    assert (logged.info.run_name, logged.info.status) == (RUN_ID, "FINISHED")


def test_every_param_is_there(logged: Run) -> None:
    assert logged.data.params["data.path"] == "rows.jsonl"
    assert logged.data.params["engine.gpu_memory_share"] == "0.9"
    assert logged.data.params["version.ray"] == "2.60.0"
    assert len(logged.data.params) > 50


def test_more_params_than_one_call_takes_and_names_that_mlflow_forbids_are_logged_all(
    store: str, tmp_path: Path
) -> None:
    extra = {f"option_{number}": number for number in range(250)} | {"a@b": 1}
    run_id = sync_run(make_folder(tmp_path / "many", store, engine={"extra": extra}).path)
    params = MlflowClient(store).get_run(run_id).data.params
    assert params["engine.extra.option_249"] == "249"
    assert params["engine.extra.a_at_b"] == "1"


def test_every_metric_is_there(logged: Run) -> None:
    series = ("_over_time", "_by_depth")
    told = {name: value for name, value in logged.data.metrics.items() if not name.endswith(series)}
    told = {name: value for name, value in told.items() if not name.startswith("system/")}
    assert told == run_metrics(METRICS, ANALYSIS)


def test_every_series_is_there_point_by_point(logged: Run, store: str) -> None:
    client = MlflowClient(store)
    for column, name in SERIES.items():
        history = client.get_metric_history(logged.info.run_id, name)
        expected = [(round(p.elapsed_s), getattr(p, column)) for p in POINTS if getattr(p, column) is not None]
        assert sorted((point.step, point.value) for point in history) == expected, name
    by_depth = client.get_metric_history(logged.info.run_id, "ndcg_at_10_by_depth")
    assert sorted((point.step, point.value) for point in by_depth) == [(5, 0.6), (10, 0.75)]
    busy = client.get_metric_history(logged.info.run_id, "system/host-a/cpu_utilization_percentage")
    expected = [(round(row["elapsed_s"]), row["value"]) for row in BUSY if row["node"] == "host-a"]
    assert sorted((point.step, point.value) for point in busy) == expected
    assert len({point.timestamp for point in busy}) == 2


def test_our_tags_are_there_beside_the_users(logged: Run, logged_twice: tuple[RunFolder, list[Run]]) -> None:
    content = read_run_folder(logged_twice[0].path)
    expected = run_tags(content) | {"owner": "search", RUN_TAG: RUN_ID, "mlflow.note.content": run_note(content)}
    assert expected.items() <= logged.data.tags.items()


def test_the_candidates_are_a_dataset_input_with_our_digest(logged: Run) -> None:
    [candidates] = logged.inputs.dataset_inputs
    assert (candidates.dataset.name, candidates.dataset.digest) == ("small", DIGEST[:36])
    assert json.loads(candidates.dataset.source) == {"candidates_digest": DIGEST}
    assert json.loads(candidates.dataset.profile) == {"queries": 4, "pairs": 40}
    assert [(tag.key, tag.value) for tag in candidates.tags] == [("mlflow.data.context", "candidates")]


def test_the_artifacts_are_the_files_of_the_folder(
    logged: Run, logged_twice: tuple[RunFolder, list[Run]], store: str, tmp_path: Path
) -> None:
    folder, _ = logged_twice
    client = MlflowClient(store)
    names = {file.path for file in client.list_artifacts(logged.info.run_id)}
    assert names == {path.name for path in artifacts(folder)}
    for name in ("metrics.json", "analysis.json", "report.html", "per_query.parquet", "figures", "rankings"):
        copied = Path(client.download_artifacts(logged.info.run_id, name, str(tmp_path)))
        for file in copied.rglob("*") if copied.is_dir() else [copied]:
            assert file.read_bytes() == (folder.path / file.relative_to(tmp_path)).read_bytes()
    assert (tmp_path / "figures" / "depth.png").exists()


def test_logging_again_leaves_one_active_run_with_the_same_content(
    logged_twice: tuple[RunFolder, list[Run]], store: str
) -> None:
    _, (first, second) = logged_twice
    client = MlflowClient(store)
    found = client.search_runs([first.info.experiment_id], f"tags.`{RUN_TAG}` = '{RUN_ID}'")
    assert [run.info.run_id for run in found] == [second.info.run_id]
    assert first.info.run_id != second.info.run_id
    assert (second.data.params, second.data.metrics, second.data.tags) == (
        first.data.params,
        first.data.metrics,
        first.data.tags,
    )


def test_another_run_of_the_experiment_is_left_alone(
    logged_twice: tuple[RunFolder, list[Run]], store: str, tmp_path: Path
) -> None:
    other = track(make_folder(tmp_path / "other", store), TrackingSettings(uri=store, experiment="test"))
    _, (_, logged) = logged_twice
    active = MlflowClient(store).search_runs([logged.info.experiment_id], run_view_type=ViewType.ACTIVE_ONLY)
    assert {run.info.run_id for run in active} >= {logged.info.run_id, other}


def test_the_tables_of_two_runs_are_joined_by_mlflow_under_the_names_of_its_metrics(store: str, tmp_path: Path) -> None:
    ids = [sync_run(make_folder(tmp_path / name, store).path) for name in ("table-a", "table-b")]
    ids[0] = sync_run(tmp_path / "table-a")  # once more: nothing is there twice
    run = MlflowClient(store).get_run(ids[0])
    table = loaded_table(store, run.data.tags["per_query_table"], ids)
    assert sorted(table["run_id"]) == sorted(ids * 3)
    metrics = {name for name in table.columns if "/" in name}
    assert metrics == {"reranked/ndcg_at_10", "first_stage/ndcg_at_10", "delta/ndcg_at_10"}
    assert {name.removeprefix("reranked/") for name in metrics} <= run.data.metrics.keys()
    joined = table.pivot_table(index="query_id", columns="run_id", values="delta/ndcg_at_10")
    assert joined.loc["q1"].to_dict() == dict.fromkeys(ids, 0.5)
    assert len(joined) == 3


def test_ids_that_look_like_numbers_are_the_same_ids_in_mlflows_table(store: str, tmp_path: Path) -> None:
    ids = ["007", "7", "12345678901234567890", "1e3"]
    folder = make_folder(tmp_path / "numbers", store)
    pq.write_table(pa.table({"query_id": ids, "answered": [True] * 4, "reranked/mrr": [1.0] * 4}), folder.per_query)
    assert list(loaded_table(store, "per_query.parquet", [sync_run(folder.path)])["query_id"]) == ids


def loaded_table(store: str, name: str, run_ids: list[str]) -> Any:
    mlflow.set_tracking_uri(store)
    mlflow.set_experiment("test")
    return mlflow.load_table(name, run_ids=run_ids, extra_columns=["run_id"])


def test_an_unanalysed_run_without_judgements_is_logged(store: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "plain", store, analysed=False)
    folder.write_json(folder.metrics, METRICS | {"quality": {"first_stage": None, "reranked": None, "delta": None}})
    folder.per_query.unlink()
    run = MlflowClient(store).get_run(sync_run(folder.path))
    assert "Without judgements" in run.data.tags["mlflow.note.content"]
    assert "per_query_table" not in run.data.tags
    assert run.data.metrics["throughput/pairs_per_s"] == 16.0


# --- what is above and below ---


def test_the_runs_of_several_first_stages_are_children_with_the_name_of_theirs(store: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "several", store)
    make_folder(folder.path / "runs" / "dense", store)
    for _ in range(2):
        parent_id = sync_run(folder.path / "runs" / "dense")
    client = MlflowClient(store)
    found = client.search_runs(["1"], f"tags.`mlflow.parentRunId` = '{parent_id}'")
    assert [(run.info.run_name, run.data.tags["first_stage"]) for run in found] == [("several.dense", "dense")]
    assert len(client.search_runs(["1"], f"tags.`{RUN_TAG}` = 'several.dense'")) == 1


def test_a_parent_and_tags_that_somebody_gave_a_run_outlive_the_next_logging(store: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "swept", store)
    parent_id = MlflowClient(store).create_run("1").info.run_id
    track(folder, TrackingSettings(uri=store, experiment="test"), parent_id)
    set_tags(store, "swept", "test", {"gate": "passed", "owner": "nobody"})
    tags = MlflowClient(store).get_run(sync_run(folder.path)).data.tags
    assert (tags["mlflow.parentRunId"], tags["gate"], tags["owner"]) == (parent_id, "passed", "search")


# --- secrets ---


@examples(5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(secret=st.text("abcdefghkmnpqrstuvwxyzABCDEFGHKMNPQRSTUVWXYZ23456789", min_size=16, max_size=24))
def test_no_secret_of_a_config_reaches_mlflow(
    store: str, tmp_path_factory: pytest.TempPathFactory, secret: str
) -> None:
    here = tmp_path_factory.mktemp("secret")
    folder = make_folder(
        here / "run",
        f"https://me:{secret}@host",
        engine={"extra": {"hf_token": secret, "nested": [{"api_key": secret}]}},
        tracking={"tags": {"link": f"https://{secret}@host/x?token={secret}"}},
    )
    folder.report.write_text(f"<p>{secret}</p>")
    assert secret in folder.config.read_text()
    run_id = sync_run(folder.path, store)
    database = Path(store.removeprefix("sqlite:///"))
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    files = [database, *(path for path in (database.parent / "mlruns").rglob("*") if path.is_file())]
    assert any(run_id in str(path) and path.name == "config.yaml" for path in files)
    assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_an_error_and_its_log_tell_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"http://me:hunter22@127.0.0.1:{free_port()}/mlflow?token=hunter23"
    folder = make_folder(tmp_path / "run", uri)
    with pytest.raises(TrackingError) as raised:
        sync_run(folder.path)
    told = f"{raised.value}{raised.value.__cause__}{(folder.logs / 'job.log').read_text()}"
    assert "hunter" not in told
    assert "http://***@127.0.0.1" in str(raised.value)


def test_a_copy_without_its_secrets_is_logged_where_the_user_says(store: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", "https://me:hunter22@host", engine={"extra": {"hf_token": "hunter22"}})
    copy_results(folder, str(tmp_path / "copies"))
    copy = tmp_path / "copies" / "run"
    with pytest.raises(DataError, match=r"tracking\.uri: \*\*\* stands in place of a secret, .* --uri") as raised:
        sync_run(copy)
    assert "\n" not in str(raised.value)
    assert sync_run(copy, store)


# --- where it is not logged ---


def test_without_a_uri_nothing_is_logged(tmp_path: Path) -> None:
    assert track(make_folder(tmp_path / "run", None), TrackingSettings(uri=None)) is None


def test_a_run_that_was_not_to_be_logged_is_synced_only_to_a_named_place(store: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "private", None)
    with pytest.raises(DataError, match="say where to log it with --uri"):
        sync_run(folder.path)
    assert MlflowClient(store).get_run(sync_run(folder.path, store)).info.run_name == "private"


def test_a_folder_of_no_finished_run_is_refused_with_what_is_missing(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", None)
    folder.metrics.unlink()
    with pytest.raises(DataError, match=r"metrics\.json is missing"):
        sync_run(folder.path)


class Refuses(BaseHTTPRequestHandler):
    """A server that is out of order."""

    def _refuse(self) -> None:
        self.send_response(500)
        self.end_headers()
        self.wfile.write(b"out of order")

    do_GET = do_POST = _refuse  # noqa: N815

    def log_message(self, *args: Any) -> None:
        """Quietly."""


@pytest.fixture(params=["closed", "silent", "refuses"])
def dead_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a port where nobody listens, where nobody ever answers, and where every answer is 500."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if request.param == "closed":
            yield f"http://127.0.0.1:{free_port()}"
        elif request.param == "silent":
            listener.listen()
            yield address
        else:
            with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
                threading.Thread(target=server.serve_forever, daemon=True).start()
                yield f"http://127.0.0.1:{server.server_port}"
                server.shutdown()


def test_a_dead_server_is_an_error_within_20_s_that_names_the_command_to_sync(
    dead_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in IMPATIENT:
        monkeypatch.setenv(name, "unset")
        monkeypatch.delenv(name)
    folder = make_folder(tmp_path / "run", dead_server)
    before = sorted(folder.path.rglob("*"))
    waits = waits_from_now_on(monkeypatch)
    with pytest.raises(TrackingError) as raised:
        sync_run(folder.path)
    assert 0 < sum(waits) <= 20
    message = str(raised.value)
    assert dead_server in message and f"rerank-eval sync {folder.path}" in message and "\n" not in message
    assert raised.value.exit_code == 4
    assert "complete" in message
    assert "Traceback" not in capfd.readouterr().err
    assert "Traceback" in (folder.logs / "job.log").read_text()
    assert sorted(p for p in folder.path.rglob("*") if folder.logs not in (p, p.parent)) == before


def test_a_database_that_cannot_be_opened_is_an_error_within_20_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    folder = make_folder(tmp_path / "run", f"sqlite:///{tmp_path}/file/mlflow.db")
    waits = waits_from_now_on(monkeypatch)
    with pytest.raises(TrackingError, match="rerank-eval sync"):
        sync_run(folder.path)
    assert sum(waits) <= 20


# --- a database of another version of MLflow ---


@pytest.mark.parametrize(
    ("revision", "said"),
    [
        # add_experiment_tags_table, of MLflow 1.0.
        (
            "df50e92ffc5e",
            r"has a database that an earlier version made than MLflow [\d.]+, .* `mlflow db upgrade {uri}`\.",
        ),
        ("feedfacecafe", r"has a database that a later version made than MLflow [\d.]+, .*: install that version"),
    ],
)
def test_a_database_of_another_mlflow_is_told_with_the_remedy_in_one_line(
    revision: str, said: str, tmp_path: Path
) -> None:
    uri = new_database(tmp_path / "mlflow.db")
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [revision])
    folder = make_folder(tmp_path / "run", uri)
    with pytest.raises(TrackingError, match=f"^MLflow at {uri} {said.format(uri=uri)}") as raised:
        sync_run(folder.path)
    assert "\n" not in str(raised.value)
    assert str(raised.value).endswith(f"Log them later: rerank-eval sync {folder.path}")
    assert raised.value.exit_code == 4


def test_a_server_is_told_where_its_database_is_upgraded() -> None:
    told = schema_fault("Detected out-of-date database schema (found version None, but expected x)", "http://host")
    assert told is not None and told.endswith("`mlflow db upgrade URI_OF_ITS_DATABASE` where that server runs.")
    assert schema_fault("the disk is full", "http://host") is None
