"""A run folder holds whole files under the documented names, and `latest` points at the newest."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.runs.folder import RunFolder
from stages.core.errors import DataError
from stages.core.records import QueryMetrics
from stages.telemetry.telemetry import Snapshot, Telemetry, TimelinePoint

COLUMNS = [one.name for one in fields(TimelinePoint)]


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "results", "demo")


def test_files_have_the_documented_names() -> None:
    folder = RunFolder(Path("results/r1"))
    names = {path.name for path in vars(folder).values() if isinstance(path, Path)} - {"r1"}
    assert folder.run_id == "r1"
    assert names == {
        "config.yaml",
        "candidates",
        "rankings",
        "run.trec",
        "failures.parquet",
        "per_query.parquet",
        "judgements.parquet",
        "timeline.parquet",
        "metrics.json",
        "environment.json",
        "analysis.json",
        "report.html",
        "figures",
        "system.parquet",
        "gate.json",
        "logs",
    }


@pytest.mark.parametrize(
    ("label", "slug"),
    [("demo", "demo"), ("BeIR/SciFact v2!", "beir-scifact-v2"), ("中文", "run"), ("a" * 90, "a" * 40)],
)
def test_a_folder_is_named_by_time_and_label(tmp_path: Path, label: str, slug: str) -> None:
    folder = RunFolder.create(tmp_path / "new" / "results", label)
    assert folder.path.is_dir()
    assert re.fullmatch(rf"\d{{8}}-\d{{6}}-{slug}-[0-9a-f]{{4}}", folder.run_id)


def test_two_runs_of_one_second_have_two_folders(tmp_path: Path) -> None:
    assert RunFolder.create(tmp_path, "demo").path != RunFolder.create(tmp_path, "demo").path


def test_where_no_folder_can_be_made_the_setting_is_named(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(DataError, match=r"output.dir .*results: cannot make a run folder .*Choose another"):
        RunFolder.create(tmp_path / "results", "demo")


def test_latest_points_at_the_last_run_and_moves_with_the_folder(tmp_path: Path) -> None:
    for _ in range(2):
        folder = RunFolder.create(tmp_path / "results", "demo")
        folder.link_as_latest()
    latest = tmp_path / "results" / "latest"
    assert latest.resolve() == folder.path
    assert sorted(path.name for path in latest.parent.iterdir() if path.name.startswith(".")) == []
    latest.parent.rename(tmp_path / "moved")
    assert (tmp_path / "moved" / "latest").resolve().is_dir()


def test_json_is_written_readable_and_leaves_no_partial_file(folder: RunFolder) -> None:
    folder.write_json(folder.metrics, {"name": "中文", "value": 0.1 + 0.2})
    text = folder.metrics.read_text(encoding="utf-8")
    assert json.loads(text) == {"name": "中文", "value": 0.1 + 0.2}
    assert "中文" in text and text.endswith("}\n")
    assert [path.name for path in folder.path.iterdir()] == ["metrics.json"]


def test_what_json_cannot_say_is_an_error_and_the_earlier_file_stays(folder: RunFolder) -> None:
    folder.write_json(folder.metrics, {"value": 1})
    with pytest.raises(ValueError, match="JSON"):
        folder.write_json(folder.metrics, {"value": float("nan")})
    assert json.loads(folder.metrics.read_text()) == {"value": 1}


def test_the_timeline_has_a_row_for_each_point_and_a_column_for_each_field(folder: RunFolder) -> None:
    telemetry = Telemetry({}, started_s=10.0)
    telemetry.take([], 11.0, 0, 0)
    telemetry.take([Snapshot("r1", 1.0, prompt_tokens=30, waiting=4, kv_usage=0.5)], 12.0, 2, 20)
    folder.write_timeline(telemetry.points)
    first, second = pq.read_table(folder.timeline).to_pylist()
    assert list(first) == COLUMNS
    assert first["prefix_hit_rate"] is None and first["pairs_per_s"] == 0.0
    assert (second["elapsed_s"], second["queries_done"], second["pairs_per_s"], second["waiting"]) == (2.0, 2, 20.0, 4)


def test_a_run_without_points_has_a_timeline_with_its_columns(folder: RunFolder) -> None:
    folder.write_timeline([])
    table = pq.read_table(folder.timeline)
    assert (table.num_rows, table.column_names) == (0, COLUMNS)


def test_per_query_values_stand_before_after_and_as_their_change(folder: RunFolder) -> None:
    before = QueryMetrics(("q1", "q2"), {"ndcg@10": (0.25, 0.5), "mrr": (1.0, 0.0)}, (True, True))
    after = QueryMetrics(("q1", "q2"), {"ndcg@10": (0.75, 0.0), "mrr": (1.0, 0.0)}, (True, False))
    folder.write_per_query(before, after)
    assert pq.read_table(folder.per_query).to_pydict() == {
        "query_id": ["q1", "q2"],
        "answered": [True, False],
        "first_stage/ndcg_at_10": [0.25, 0.5],
        "reranked/ndcg_at_10": [0.75, 0.0],
        "delta/ndcg_at_10": [0.5, -0.5],
        "first_stage/mrr": [1.0, 0.0],
        "reranked/mrr": [1.0, 0.0],
        "delta/mrr": [0.0, 0.0],
    }


def test_without_judgements_the_per_query_file_has_no_row(folder: RunFolder) -> None:
    nothing = QueryMetrics((), {}, ())
    folder.write_per_query(nothing, nothing)
    assert pq.read_table(folder.per_query).to_pydict() == {"query_id": [], "answered": []}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_the_users_to_mend_and_other_errors_are_not(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"No space left on device\. Make room"), RunFolder(tmp_path).told_when_full():
        Path("/dev/full").write_text("results", encoding="utf-8")
    with pytest.raises(FileNotFoundError), RunFolder(tmp_path).told_when_full():
        (tmp_path / "missing").read_text(encoding="utf-8")
