"""What a run folder says is what MLflow holds, once, however often it is logged; a dead server costs no result."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.entities import Run, ViewType
from mlflow.tracking import MlflowClient

from pipelines.config import RunConfig, TrackingSettings
from pipelines.run_folder import RunFolder
from pipelines.sync import sync_run
from pipelines.tracking import IMPATIENT, RUN_TAG, SERIES, artifacts, run_metrics, run_params, run_tags, series, track
from stages.errors import DataError, TrackingError
from stages.telemetry import TimelinePoint

DIGEST = "0123456789abcdef" * 4
METRICS: dict[str, Any] = {
    "run_id": "20260101-000000-small-0a1b",
    "config_digest": "c" * 16,
    "candidates_digest": DIGEST,
    "model": {
        "name": "tiny",
        "revision": None,
        "family": "embedding",
        "weights_digest": "d",
        "max_length": 256,
        "dtype": "x",
    },
    "quality": {
        "first_stage": {"ndcg_at_10": 0.5},
        "reranked": {"ndcg_at_10": 0.75},
        "delta": {"ndcg_at_10": 0.25},
    },
    "coverage": {
        "queries": 4,
        "answered": 3,
        "unanswered": 1,
        "pairs": 40,
        "failed_pairs": 0,
        "truncated_pairs": 2,
        "set_aside_rows": 1,
    },
    "throughput": {"wall_s": 2.5, "scored_pairs": 40, "pairs_per_s": 16.0, "prompt_tokens_per_s": 320.0},
    "queue": {"time_ms": {"p50": 1.0, "p95": 2.0, "p99": 3.0}, "waiting_max": 9},
    "cache": {"prefix_hit_rate": 0.5, "kv_usage_peak": None, "score_store_hits": None, "score_store_hit_rate": None},
    "tokens": {"prompt": 800, "generation": 0},
    "scores": {"tied_share": 0.125},
}
ENVIRONMENT: dict[str, Any] = {
    "dataset": "small",
    "git_commit": "abc123",
    "python": "3.11",
    "packages": {"ray": "2.60.0", "mlflow": "3.17.2"},
    "hardware": {"processor": "a processor", "cores": 2, "memory_gib": 8.0},
    "engines": [],
}
POINTS = [
    TimelinePoint(1.0, 1, 10, 10.0, 200.0, 3, 5, 0.25, 0.5, 42.0),
    TimelinePoint(2.5, 4, 40, 20.0, 400.0, 1, 0, 0.125, None, None),
]


def make_folder(path: Path, uri: str | None) -> RunFolder:
    """A finished run by hand: every file that a run leaves, with little in it."""
    folder = RunFolder(path)
    folder.rankings.mkdir(parents=True)
    folder.candidates.mkdir()
    data = {"format": "jsonl", "path": "rows.jsonl"}
    tracking = {"uri": uri, "experiment": "test", "tags": {"owner": "search"}}
    config = RunConfig.model_validate({"data": data, "tracking": tracking})
    folder.config.write_text(config.to_yaml(), encoding="utf-8")
    folder.write_json(folder.metrics, METRICS)
    folder.write_json(folder.environment, ENVIRONMENT)
    folder.write_timeline(POINTS)
    for file in (
        folder.per_query,
        folder.failures,
        folder.rankings / "part-00000.parquet",
        folder.candidates / "p.parquet",
    ):
        pq.write_table(pa.table({"query_id": ["q1"]}), file)
    folder.trec_run.write_text("q1 Q0 a 1 1 rerank-eval\n")
    return folder


def flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in content.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


# --- what is logged ---


def test_params_are_the_flattened_config_with_versions_and_hardware_as_strings() -> None:
    config = {"data": {"depth": 20, "columns": {}}, "evaluate": {"metrics": ["mrr"]}, "model": {"revision": None}}
    assert run_params(config, ENVIRONMENT) == {
        "data.depth": "20",
        "data.columns": "{}",
        "evaluate.metrics": "['mrr']",
        "model.revision": "None",
        "version.ray": "2.60.0",
        "version.mlflow": "3.17.2",
        "hardware.processor": "a processor",
        "hardware.cores": "2",
        "hardware.memory_gib": "8.0",
    }


def test_a_long_param_is_cut_to_what_mlflow_takes() -> None:
    params = run_params({"model": {"instruction": "x" * 7000}}, ENVIRONMENT)
    assert params["model.instruction"] == "x" * 6000


def test_the_reranked_quality_is_bare_and_all_else_stands_under_its_section() -> None:
    named = run_metrics(METRICS)
    assert (named["ndcg_at_10"], named["first_stage/ndcg_at_10"], named["delta/ndcg_at_10"]) == (0.75, 0.5, 0.25)
    assert named["queue/time_ms_p95"] == 2.0
    assert (named["coverage/unanswered"], named["throughput/pairs_per_s"], named["tokens/prompt"]) == (1.0, 16.0, 800.0)
    assert all(type(value) is float for value in named.values())


def test_every_number_of_metrics_json_is_logged_and_a_null_is_left_out() -> None:
    sections = ("quality", "coverage", "scores", "throughput", "queue", "cache", "tokens")
    numbers = flat({section: METRICS[section] for section in sections})
    named = run_metrics(METRICS)
    assert sorted(named.values()) == sorted(float(value) for value in numbers.values() if value is not None)
    assert not any("kv_usage" in name or "score_store" in name for name in named)


def test_a_run_without_judgements_has_no_quality() -> None:
    named = run_metrics(METRICS | {"quality": {"first_stage": None, "reranked": None, "delta": None}})
    assert named.keys() == {name for name in run_metrics(METRICS) if "ndcg" not in name}


def test_no_name_of_a_metric_holds_what_mlflow_forbids() -> None:
    assert not any("@" in name for name in [*run_metrics(METRICS), *SERIES.values()])


def test_tags_are_what_runs_are_filtered_by() -> None:
    assert run_tags(METRICS, ENVIRONMENT) == {
        "model": "tiny",
        "family": "embedding",
        "dataset": "small",
        "git_commit": "abc123",
        "config_digest": "c" * 16,
        "candidates_digest": DIGEST,
    }
    assert run_tags(METRICS, ENVIRONMENT | {"git_commit": None})["git_commit"] == "none"


def test_the_series_ends_when_the_run_did_and_skips_what_does_not_apply(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", None)
    points = list(series(folder.timeline, finished_ms=100_000))
    assert ("throughput/pairs_per_s_over_time", 10.0, 98_500, 1) in points
    assert ("throughput/pairs_per_s_over_time", 20.0, 100_000, 2) in points
    assert [point for point in points if point[0] == "queue/time_ms_p95_over_time"] == [
        ("queue/time_ms_p95_over_time", 42.0, 98_500, 1)
    ]
    assert {name for name, *_ in points} == set(SERIES.values())


def test_an_empty_timeline_has_no_series(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", None)
    folder.write_timeline([])
    assert list(series(folder.timeline, finished_ms=100_000)) == []


def test_artifacts_are_all_that_is_there_but_the_candidates_texts(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "run", None)
    folder.failures.unlink()
    assert {path.name for path in artifacts(folder)} == {
        "config.yaml",
        "metrics.json",
        "environment.json",
        "per_query.parquet",
        "timeline.parquet",
        "run.trec",
        "rankings",
    }


# --- a real MLflow ---


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of one MLflow database for all tests of this file: making it takes seconds."""
    here = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        for name in IMPATIENT:
            patch.delenv(name, raising=False)
        yield f"sqlite:///{here}/mlflow.db"


@pytest.fixture(scope="module")
def logged_twice(store: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, list[Run]]:
    """A folder that was logged and logged again, and the MLflow run that each time left."""
    folder = make_folder(tmp_path_factory.mktemp("results") / METRICS["run_id"], store)
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
    assert (logged.info.run_name, logged.info.status) == (METRICS["run_id"], "FINISHED")


def test_every_param_is_there(logged: Run, logged_twice: tuple[RunFolder, list[Run]]) -> None:
    assert logged.data.params["data.path"] == "rows.jsonl"
    assert logged.data.params["engine.gpu_memory_share"] == "0.9"
    assert logged.data.params["version.ray"] == "2.60.0"
    assert len(logged.data.params) > 50


def test_every_metric_is_there(logged: Run) -> None:
    told = {name: value for name, value in logged.data.metrics.items() if not name.endswith("_over_time")}
    assert told == run_metrics(METRICS)


def test_every_series_is_there_point_by_point(logged: Run, store: str) -> None:
    client = MlflowClient(store)
    for column, name in SERIES.items():
        history = client.get_metric_history(logged.info.run_id, name)
        expected = [(round(p.elapsed_s), getattr(p, column)) for p in POINTS if getattr(p, column) is not None]
        assert sorted((point.step, point.value) for point in history) == expected, name


def test_our_tags_are_there_beside_the_users(logged: Run) -> None:
    expected = run_tags(METRICS, ENVIRONMENT) | {"owner": "search", RUN_TAG: METRICS["run_id"]}
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
    assert {file.path for file in client.list_artifacts(logged.info.run_id)} == {
        path.name for path in artifacts(folder)
    }
    copied = client.download_artifacts(logged.info.run_id, "metrics.json", str(tmp_path))
    assert json.loads(Path(copied).read_text()) == METRICS
    [ranking] = client.list_artifacts(logged.info.run_id, "rankings")
    assert ranking.path == "rankings/part-00000.parquet"


def test_logging_again_leaves_one_active_run_with_the_same_content(
    logged_twice: tuple[RunFolder, list[Run]], store: str
) -> None:
    _, (first, second) = logged_twice
    client = MlflowClient(store)
    found = client.search_runs([first.info.experiment_id], f"tags.`{RUN_TAG}` = '{METRICS['run_id']}'")
    assert [run.info.run_id for run in found] == [second.info.run_id]
    assert first.info.run_id != second.info.run_id
    assert (second.data.params, second.data.metrics) == (first.data.params, first.data.metrics)
    ours = {name: value for name, value in first.data.tags.items() if not name.startswith("mlflow.")}
    assert ours.items() <= second.data.tags.items()


def test_another_run_of_the_experiment_is_left_alone(
    logged_twice: tuple[RunFolder, list[Run]], store: str, tmp_path: Path
) -> None:
    other = track(make_folder(tmp_path / "other", store), TrackingSettings(uri=store, experiment="test"))
    _, (_, logged) = logged_twice
    active = MlflowClient(store).search_runs([logged.info.experiment_id], run_view_type=ViewType.ACTIVE_ONLY)
    assert {run.info.run_id for run in active} >= {logged.info.run_id, other}


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


def test_a_dead_server_is_an_error_within_seconds_that_names_the_command_to_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in IMPATIENT:
        monkeypatch.setenv(name, "unset")
        monkeypatch.delenv(name)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
    folder = make_folder(tmp_path / "run", uri)
    before = sorted(folder.path.rglob("*"))
    started_s = time.monotonic()
    with pytest.raises(TrackingError) as raised:
        sync_run(folder.path)
    assert time.monotonic() - started_s < 20
    message = str(raised.value)
    assert uri in message and f"rerank-eval sync {folder.path}" in message and "\n" not in message
    assert "complete" in message
    assert "Traceback" not in capfd.readouterr().err
    assert "Traceback" in (folder.logs / "job.log").read_text()
    assert sorted(p for p in folder.path.rglob("*") if folder.logs not in (p, p.parent)) == before
