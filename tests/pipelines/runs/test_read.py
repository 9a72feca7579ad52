"""A run is found by its folder; what is no finished run is named with the way to mend it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.runs.folder import RunFolder
from pipelines.runs.read import read_per_query, read_run_folder
from pipelines.tracking.find import find_run
from stages.core.errors import DataError
from stages.core.records import QueryMetrics
from tests.pipelines.finished_runs import finished_run

NOWHERE = QueryMetrics((), {}, ())


def test_per_query_values_come_back_as_they_were_written(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    first = QueryMetrics(("q1", "q2"), {"ndcg@10": (0.25, 0.5), "mrr": (1.0, 0.0)}, (True, False))
    after = QueryMetrics(("q1", "q2"), {"ndcg@10": (0.75, 0.0), "mrr": (0.5, 0.0)}, (True, False))
    folder.write_per_query(first, after)
    assert read_per_query(folder.per_query) == (first, after)


def test_without_a_single_first_stage_its_values_are_empty(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    after = QueryMetrics(("q1",), {"mrr": (0.5,)}, (True,))
    folder.write_per_query(NOWHERE, after)
    first, reranked = read_per_query(folder.per_query)
    assert (dict(first.values), reranked) == ({}, after)


def test_without_the_file_there_are_no_values(tmp_path: Path) -> None:
    assert read_per_query(tmp_path / "per_query.parquet") == (NOWHERE, NOWHERE)


def test_a_run_is_read_whole(tmp_path: Path) -> None:
    path = finished_run(tmp_path / "r1", [0.5, 1.0], config={"evaluate": {"metrics": ["ndcg@10"]}}).folder.path
    (path / "analysis.json").write_text('{"metrics": ["ndcg@10"]}')
    found = read_run_folder(path)
    assert found.run_id == "r1"
    assert found.reranked.values == {"ndcg@10": (0.5, 1.0)}
    assert found.first_stage.values == {"ndcg@10": (0.5, 0.5)}
    assert found.metrics["quality"]["reranked"]["ndcg_at_10"] == 0.75
    assert found.config["evaluate"]["metrics"] == ["ndcg@10"]
    assert found.environment["dataset"] == "small"
    assert found.analysis == {"metrics": ["ndcg@10"]}


def test_files_that_older_runs_lack_are_empty(tmp_path: Path) -> None:
    path = finished_run(tmp_path / "r1", [0.5]).folder.path
    for name in ("environment.json", "per_query.parquet"):
        (path / name).unlink()
    found = read_run_folder(path)
    assert (found.environment, found.analysis, found.reranked) == ({}, {}, NOWHERE)


def test_a_link_is_followed_so_that_the_run_keeps_its_name(tmp_path: Path) -> None:
    finished_run(tmp_path / "r1", [0.5])
    (tmp_path / "latest").symlink_to("r1", target_is_directory=True)
    assert find_run(str(tmp_path / "latest"), None, tmp_path / "to").folder.run_id == "r1"


@pytest.mark.parametrize("missing", ["metrics.json", "config.yaml"])
def test_the_folder_of_an_unfinished_run_is_named(tmp_path: Path, missing: str) -> None:
    path = finished_run(tmp_path / "r1", [0.5]).folder.path
    (path / missing).unlink()
    with pytest.raises(DataError, match=rf"r1 is not the folder of a finished run: {missing} is missing"):
        read_run_folder(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", '{"run_id": '),
        ("analysis.json", "not JSON"),
        ("config.yaml", "data: [1"),
        ("per_query.parquet", "not Parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, name: str, content: str) -> None:
    path = finished_run(tmp_path / "r1", [0.5]).folder.path
    (path / name).write_text(content)
    with pytest.raises(DataError, match=r"r1: cannot be read \(.+\)\. Run the job again\.") as raised:
        read_run_folder(path)
    assert "\n" not in str(raised.value)


def test_a_per_query_file_without_its_columns_is_one_line(tmp_path: Path) -> None:
    path = finished_run(tmp_path / "r1", [0.5]).folder.path
    pq.write_table(pa.table({"other": [1]}), path / "per_query.parquet")
    with pytest.raises(DataError, match="r1: cannot be read"):
        read_run_folder(path)


@pytest.mark.parametrize("content", ["[]", "null", "{}"])
def test_a_metrics_file_that_is_not_a_runs_is_one_line(tmp_path: Path, content: str) -> None:
    path = finished_run(tmp_path / "r1", [0.5]).folder.path
    (path / "metrics.json").write_text(content)
    with pytest.raises(DataError, match="r1"):
        read_run_folder(path)


@pytest.mark.parametrize("reference", ["results/gone", "some/where/else", "..."])
def test_no_such_folder_and_no_server_names_the_option(tmp_path: Path, reference: str) -> None:
    with pytest.raises(DataError, match=r"no such run folder; to look it up in MLflow, say where with --uri"):
        find_run(str(tmp_path / reference), None, tmp_path / "to")


def test_a_path_is_never_looked_up_in_mlflow(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone: no such run folder\. Give an existing one"):
        find_run(str(tmp_path / "gone"), "http://127.0.0.1:9", tmp_path / "to")


def test_a_file_is_no_run_folder(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({}))
    with pytest.raises(DataError, match="no such run folder"):
        find_run(str(tmp_path / "metrics.json"), "http://127.0.0.1:9", tmp_path / "to")
