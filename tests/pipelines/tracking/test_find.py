"""Runs are found in MLflow by either name, downloaded as run folders, put under parents, and compared."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from pipelines.base.ports import free_port
from pipelines.base.sections import TrackingSettings
from pipelines.runs.folder import RunFolder
from pipelines.tracking import client as tracking
from pipelines.tracking.client import KIND_TAG, NOTE_TAG, RUN_TAG, search, track
from pipelines.tracking.find import ensure_parent, fetch_run, latest_runs, log_comparison, logged_id, set_tags
from pipelines.tracking.sync import sync_run
from stages.core.errors import DataError, TrackingError
from tests.logged_folders import ENVIRONMENT, make_folder
from tests.mlflow_database import new_database


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    here = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        yield new_database(here / "mlflow.db")


def logged(folder: RunFolder, store: str, experiment: str, started_s: int) -> str:
    """Log a run as one that started at this Unix second."""
    os.utime(folder.config, (started_s, started_s))
    run_id = track(folder, TrackingSettings(uri=store, experiment=experiment))
    assert run_id is not None
    return run_id


# --- fetch ---


def test_a_run_is_fetched_by_either_name_and_reads_like_its_folder(store: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "results" / "fetched", store)
    mlflow_id = logged(folder, store, "fetch", 1000)
    for number, name in enumerate((mlflow_id, "fetched")):
        copy = fetch_run(store, name, tmp_path / str(number))
        assert copy == tmp_path / str(number) / "fetched"
        fetched = RunFolder(copy)
        assert fetched.run_id == folder.run_id
        for file in ("metrics", "analysis", "per_query", "environment", "timeline"):
            assert getattr(fetched, file).read_bytes() == getattr(folder, file).read_bytes()
        assert fetched.config.read_text() == folder.config.read_text()
        assert {path.name for path in copy.iterdir()} == {
            "metrics.json",
            "analysis.json",
            "per_query.parquet",
            "config.yaml",
            "environment.json",
            "timeline.parquet",
            "system.parquet",
        }


def test_a_run_in_two_experiments_is_fetched_by_its_mlflow_id(store: str, tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "results" / "twice", store)
    first, _ = (logged(folder, store, experiment, 1000) for experiment in ("one", "other"))
    with pytest.raises(DataError, match=r"2 runs twice \(.*\)\. Give one by its MLflow id"):
        fetch_run(store, "twice", tmp_path)
    assert fetch_run(store, first, tmp_path / "to").name == "twice"


@pytest.mark.parametrize("name", ["no-such-run", "0" * 32, "it's", "%"])
def test_a_run_that_is_not_there_is_refused_with_a_remedy(store: str, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"has no run .* rerank-eval sync FOLDER"):
        fetch_run(store, name, tmp_path)


def test_a_run_of_another_program_is_no_run_folder(store: str, tmp_path: Path) -> None:
    client = MlflowClient(store)
    other = client.create_run(client.create_experiment("others")).info.run_id
    with pytest.raises(DataError, match=r"has no metrics\.json"):
        fetch_run(store, other, tmp_path)


@pytest.mark.parametrize("tag", ["../beside", "{}/absolute", "..", "a/b"])
def test_a_tag_that_is_a_path_leads_nowhere(store: str, tmp_path: Path, tag: str) -> None:
    mlflow_id = logged(make_folder(tmp_path / "results" / "tagged", store), store, "tagged", 1000)
    MlflowClient(store).set_tag(mlflow_id, RUN_TAG, tag.format(tmp_path))
    before = sorted(tmp_path.rglob("*"))
    (to := tmp_path / "to").mkdir()
    with pytest.raises(
        DataError, match=rf"^run {mlflow_id} at .*: its tag rerank_eval\.run_id .* cannot name a folder"
    ):
        fetch_run(store, mlflow_id, to)
    assert sorted(tmp_path.rglob("*")) == sorted([*before, to])


def test_a_dead_server_is_a_tracking_error_without_its_password(tmp_path: Path) -> None:
    uri = f"http://me:hunter22@127.0.0.1:{free_port()}"
    with pytest.raises(TrackingError) as raised:
        fetch_run(uri, "any", tmp_path)
    assert "hunter22" not in str(raised.value)


# --- latest ---


def test_the_latest_runs_come_first_and_can_be_told_apart_by_data_set(store: str, tmp_path: Path) -> None:
    ids = {}
    for started_s, name in ((3000, "c"), (1000, "a"), (2000, "b")):
        folder = make_folder(tmp_path / name, store)
        if name == "b":
            folder.write_json(folder.environment, ENVIRONMENT | {"dataset": "large"})
        ids[name] = logged(folder, store, "nightly", started_s)
    ensure_parent(store, "nightly", "a-sweep", {})
    log_comparison(store, "nightly", "a-comparison", {}, {}, {}, [], {})
    found = latest_runs(store, "nightly", dataset=None)
    assert [(run.name, run.mlflow_id) for run in found] == [(name, ids[name]) for name in "cba"]
    assert found[0].tags["model"] == "tiny"
    assert [run.name for run in latest_runs(store, "nightly", dataset="small")] == ["c", "a"]
    assert [run.name for run in latest_runs(store, "nightly", dataset="large")] == ["b"]


def test_an_experiment_that_is_not_there_has_no_runs(store: str) -> None:
    assert latest_runs(store, "not yet", dataset=None) == []


def test_what_was_broken_off_is_not_among_the_latest_runs(store: str) -> None:
    client = MlflowClient(store)
    client.create_run(client.create_experiment("broken"), tags={RUN_TAG: "half"})
    assert latest_runs(store, "broken", dataset=None) == []


def test_more_runs_than_a_page_holds_are_all_found(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "RUNS_PER_PAGE", 2)
    client = MlflowClient(store)
    experiment = client.create_experiment("many")
    for number in range(5):
        client.create_run(experiment, start_time=number + 1, tags={RUN_TAG: f"r{number}"})
    found = search(client, [experiment], "")
    assert [run.data.tags[RUN_TAG] for run in found] == ["r4", "r3", "r2", "r1", "r0"]


def test_mlflows_id_of_a_run_is_told_or_that_it_has_none(store: str, tmp_path: Path) -> None:
    mlflow_id = logged(make_folder(tmp_path / "known", store), store, "known", 1000)
    assert logged_id(store, "known") == mlflow_id
    assert logged_id(store, "unknown") is None


# --- parents, tags, comparisons ---


def test_a_parent_is_made_once_and_runs_stand_under_it_however_often_they_are_logged(
    store: str, tmp_path: Path
) -> None:
    parents = {ensure_parent(store, "sweep", "depths", {"axis": f"depth{turn}"}) for turn in range(2)}
    [parent_id] = parents
    folder = make_folder(tmp_path / "part", store)
    for _ in range(2):
        track(folder, TrackingSettings(uri=store, experiment="sweep"), parent_id)
    client = MlflowClient(store)
    parent = client.get_run(parent_id)
    assert (parent.info.status, parent.data.tags["axis"], parent.data.tags[KIND_TAG]) == ("FINISHED", "depth1", "sweep")
    children = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent_id}'")
    assert [run.info.run_name for run in children] == ["part"]


def test_tags_are_added_to_a_logged_run(store: str, tmp_path: Path) -> None:
    sync_run(make_folder(tmp_path / "tagged", store).path)
    set_tags(store, "tagged", "test", {"gate": "passed"})
    [run] = [run for run in latest_runs(store, "test", dataset=None) if run.name == "tagged"]
    assert (run.tags["gate"], run.tags["owner"]) == ("passed", "search")
    with pytest.raises(DataError, match="has no run nobody"):
        set_tags(store, "nobody", "test", {"gate": "passed"})
    with pytest.raises(DataError, match="has no experiment nowhere"):
        set_tags(store, "tagged", "nowhere", {"gate": "passed"})


def test_a_comparison_links_to_its_runs_and_replaces_the_one_before(store: str, tmp_path: Path) -> None:
    ids = {name: sync_run(make_folder(tmp_path / name, store).path) for name in ("left", "right")}
    report = tmp_path / "comparison.html"
    report.write_text("<p>left against right</p>")
    client = MlflowClient(store)
    for _ in range(2):
        run_id = log_comparison(
            store,
            "comparisons",
            "left-right",
            {"baseline": "left", "runs": ["left", "right"]},
            {NOTE_TAG: "Right is better.", "outcome": "better"},
            {"delta/ndcg_at_10": 0.125},
            [report],
            ids,
        )
    run = client.get_run(run_id)
    there = client.get_run(ids["left"]).info.experiment_id
    assert run.data.tags[NOTE_TAG] == (
        "Right is better.\n\n"
        f"- [left](#/experiments/{there}/runs/{ids['left']})\n- [right](#/experiments/{there}/runs/{ids['right']})"
    )
    assert (run.data.tags["compared.1"], run.data.tags["compared.2"]) == (ids["left"], ids["right"])
    assert run.data.tags["outcome"] == "better"
    assert run.data.params == {"baseline": "left", "runs": "['left', 'right']"}
    assert run.data.metrics == {"delta/ndcg_at_10": 0.125}
    assert [file.path for file in client.list_artifacts(run_id)] == ["comparison.html"]
    assert [one.info.run_id for one in client.search_runs([run.info.experiment_id])] == [run_id]
    assert run.info.status == "FINISHED"
