"""A sweep runs every point of a grid over one store of scores, outlives what fails, and goes on where it ended."""

from __future__ import annotations

import io
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from pipelines.base.config import load_config
from pipelines.job.console import JobConsole
from pipelines.job.run import run
from pipelines.runs.folder import RunFolder
from pipelines.sweep import sweep as sweep_module
from pipelines.sweep.folder import PointResult, SweepFolder
from pipelines.sweep.report import best, compare_command, sweep_document
from pipelines.sweep.sweep import Sweep, SweepOrder, print_plan, run_sweep
from pipelines.sweep.tracking import sync_sweep
from stages.core.errors import ConfigError, DataError, InterruptedRunError
from stages.report.markdown import to_markdown
from tests.mlflow_database import new_database

DEPTHS = "data.depth=[2, 5]"
UNTRACKED = ("tracking.uri=null",)

pytestmark = pytest.mark.usefixtures("local_ray")


@pytest.fixture
def config(write_config: Callable[..., Path], write_rows: Callable[..., dict[str, Any]]) -> Path:
    """Eight queries of five documents; the last document is the relevant one, and shares most words."""
    rows = [
        {
            "query_id": f"q{number}",
            "query": f"red apple pie {number}",
            "documents": [
                {"id": f"d{place}", "text": f"{'red apple pie ' if place == 4 else 'green '}{number} {place}"}
                | ({"relevance": 1} if place == 4 else {})
                for place in range(5)
            ],
        }
        for number in range(8)
    ]
    sections = {"model": {"name": "overlap"}, "evaluate": {"metrics": ["ndcg@10", "mrr"]}}
    return write_config(sections | {"data": write_rows(rows)})


def do(config: Path, *grid: str, name: str | None = "mine", overrides: tuple[str, ...] = ()) -> Sweep:
    return run_sweep(SweepOrder(config, grid, overrides, name), JobConsole(quiet=True))


def told(sweep: Sweep) -> dict[str, Any]:
    """sweep.json, read back."""
    content: dict[str, Any] = json.loads(sweep.folder.state.read_text(encoding="utf-8"))
    return content


def at(sweep: Sweep, **values: Any) -> PointResult:
    """The one point with these values, by the last part of their keys."""
    [point] = [
        point
        for point in sweep.state.points
        if values.items() <= {key.rpartition(".")[2]: value for key, value in point.values.items()}.items()
    ]
    return point


def test_each_point_is_a_run_and_a_lesser_depth_finds_its_scores(config: Path) -> None:
    sweep = do(config, DEPTHS)
    assert sweep.exit_code == 0
    content = told(sweep)
    assert content["grid"] == {"data.depth": [2, 5]}
    assert content["dataset"] == "rows"
    shallow, deep = content["points"]
    assert (shallow["values"], deep["values"]) == ({"data.depth": 2}, {"data.depth": 5})
    assert (deep["pairs"], deep["scored_pairs"]) == (40, 40)
    assert (shallow["pairs"], shallow["scored_pairs"]) == (16, 0)
    assert deep["metrics"]["mrr"] == 1.0
    assert shallow["metrics"]["mrr"] == pytest.approx(1 / 5)
    for point in (shallow, deep):
        folder = RunFolder(sweep.folder.path / point["run_folder"])
        metrics = json.loads(folder.metrics.read_text())
        assert folder.path.parent == sweep.folder.points
        assert metrics["config_digest"] == point["config_digest"]
        assert metrics["quality"]["reranked"] == point["metrics"]
        assert load_config(folder.config).rerank.store == str(sweep.folder.scores.resolve())
    assert {path.name for path in sweep.folder.points.iterdir()} == {
        point["run_folder"].removeprefix("points/") for point in (shallow, deep)
    }


def test_a_point_is_what_the_run_alone_would_be(config: Path) -> None:
    sweep = do(config, DEPTHS)
    alone = run(load_config(config, ["data.depth=2"]), JobConsole(quiet=True))
    assert at(sweep, depth=2).metrics == json.loads(alone.metrics.read_text())["quality"]["reranked"]
    point = sweep.folder.run_folder(at(sweep, depth=2))
    assert point.trec_run.read_bytes() == alone.trec_run.read_bytes()


def test_the_users_own_store_is_used(config: Path, tmp_path: Path) -> None:
    store = tmp_path / "own"
    sweep = do(config, DEPTHS, overrides=(f"rerank.store={store}",))
    assert store.is_dir()
    assert not sweep.folder.scores.exists()
    assert at(sweep, depth=2).scored_pairs == 0


def test_a_point_that_fails_is_noted_and_run_again_alone(config: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    more = tmp_path / "more.jsonl"
    grid = f"data.path=[{rows}, {more}]"
    first = do(config, grid)
    good, bad = first.state.points
    assert first.exit_code == bad.exit_code == 2
    assert (good.exit_code, good.message) == (0, None)
    assert bad.message is not None and "more.jsonl" in bad.message
    more.write_text(rows.read_text().replace("q1", "q9"))
    second = do(config, grid)
    assert second.exit_code == 0
    assert second.folder.path == first.folder.path
    assert second.state.points[0] == good
    assert second.state.points[1].metrics["mrr"] == 1.0


def test_the_same_name_goes_on_and_another_begins(config: Path) -> None:
    first = do(config, DEPTHS)
    runs = sorted(first.folder.points.iterdir())
    again = do(config, DEPTHS)
    assert again.state == first.state
    assert sorted(again.folder.points.iterdir()) == runs
    wider = do(config, "data.depth=[2, 5, 3]")
    assert wider.folder.path == first.folder.path
    assert len(list(wider.folder.points.iterdir())) == 3
    assert at(wider, depth=3).scored_pairs == 0
    assert do(config, DEPTHS, name="other").folder.path != first.folder.path


def test_what_a_killed_sweep_did_not_write_down_is_found_in_the_folders(config: Path) -> None:
    first = do(config, DEPTHS)
    first.folder.state.unlink()
    again = do(config, DEPTHS)
    assert [point.metrics for point in again.state.points] == [point.metrics for point in first.state.points]
    assert len(list(again.folder.points.iterdir())) == 2


def test_a_changed_config_is_run_again(config: Path) -> None:
    first = do(config, DEPTHS)
    second, told = said(config, DEPTHS, overrides=("evaluate.metrics=[mrr]",))
    assert "anew        2 points, as its settings changed (or what rerank-eval knows of settings): depth=2" in told
    assert set(at(second, depth=2).metrics) == {"mrr"}
    assert at(second, depth=2).run_folder != at(first, depth=2).run_folder
    assert at(second, depth=5).scored_pairs == 0


def edited(config: Path, old: str, new: str) -> Path:
    """The rows of the config, with another text in them."""
    rows = Path(str(load_config(config).data.path))
    text = rows.read_text()
    assert old in text
    rows.write_text(text.replace(old, new))
    return rows


def said(config: Path, *grid: str, overrides: tuple[str, ...] = ()) -> tuple[Sweep, str]:
    """The sweep once more, and what it says."""
    file = io.StringIO()
    return run_sweep(SweepOrder(config, grid, overrides, "mine"), JobConsole(file=file)), file.getvalue()


def test_a_point_is_run_again_where_data_judgements_or_model_are_others_and_the_line_says_which(config: Path) -> None:
    first, told = said(config, DEPTHS, overrides=UNTRACKED)
    assert "anew" not in told
    edited(config, "red apple pie 3 4", "nothing")
    second, told = said(config, DEPTHS, overrides=UNTRACKED)
    assert "2 points, 1 have results" in told, "the edited document is below the depth of the other"
    assert "anew        1 points, as its data was edited: depth=5\n" in told
    assert at(second, depth=2) == at(first, depth=2)
    assert at(second, depth=5).metrics["mrr"] == pytest.approx((7 + 1 / 5) / 8)
    assert at(second, depth=5).scored_pairs == 1, "the store knows the others"
    edited(config, '"relevance": 1', '"relevance": 2')
    third, told = said(config, DEPTHS, overrides=UNTRACKED)
    assert "anew        2 points, as its judgements were edited: depth=2; depth=5\n" in told
    metrics = third.folder.run_folder(at(third, depth=2)).metrics
    metrics.write_text(metrics.read_text().replace('"model": "overlap"', '"model": "other"'))
    fourth, told = said(config, DEPTHS, overrides=UNTRACKED)
    assert "anew        1 points, as what decides its scores changed: depth=2\n" in told
    assert at(fourth, depth=5) == at(third, depth=5).model_copy(update={"anew": None, "replaces": None})
    edited(config, '"relevance": 2', '"relevance": 1')
    edited(config, "nothing", "red apple pie 3 4")
    last, told = said(config, DEPTHS, overrides=UNTRACKED)
    assert "2 points, 2 have results" in told and "anew" not in told
    assert last.state == first.state


def test_data_that_is_edited_while_the_sweep_runs_is_told_and_mended_by_the_same_command(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = "rerank.batch_queries=[7, 9]"
    run_point = sweep_module._run_point

    def and_edit(*arguments: Any) -> None:
        run_point(*arguments)
        rows = Path(str(load_config(config).data.path))
        rows.write_text(rows.read_text().replace("red apple pie 3 4", "nothing"))

    monkeypatch.setattr(sweep_module, "_run_point", and_edit)
    first, told = said(config, grid, overrides=UNTRACKED)
    assert len({point.metrics["mrr"] for point in first.state.points}) == 2
    assert "mind        while the sweep ran its data was edited, so its points cannot be compared" in told
    assert len(first.state.remarks) == 1 and first.folder.read() == first.state
    second, told = said(config, grid, overrides=UNTRACKED)
    assert "anew        1 points, as its data was edited: batch_queries=7\n" in told and "mind " not in told
    assert len({point.metrics["mrr"] for point in second.state.points}) == 1


def test_ctrl_c_ends_it_with_the_command_that_goes_on(config: Path) -> None:
    grid = "data.depth=[5, 4, 3, 2, 1]"
    results = Path(load_config(config).output.dir)
    ended = threading.Event()

    def press() -> None:
        while not ended.is_set():
            if list(results.glob("*-sweep-*/sweep.json")):
                os.kill(os.getpid(), signal.SIGINT)
                return
            time.sleep(0.01)

    pressing = threading.Thread(target=press)
    pressing.start()
    try:
        with pytest.raises(
            InterruptedRunError, match=r"[1-4] of 5 points have results.* --name config-[0-9a-f]{4}$"
        ) as raised:
            do(config, grid, name=None)
    finally:
        ended.set()
        pressing.join()
    name = str(raised.value).rpartition(" ")[2]
    interrupted = SweepFolder.open(results, name)
    state = interrupted.read()
    assert state is not None
    done = [point for point in state.points if point.finished]
    assert 0 < len(done) < 5
    resumed = do(config, grid, name=name)
    assert resumed.exit_code == 0
    assert resumed.folder.path == interrupted.path
    assert all(point.finished for point in resumed.state.points)
    assert {point.run_folder for point in done} <= {point.run_folder for point in resumed.state.points}


def test_mlflow_has_a_run_of_the_sweep_with_its_points_below(config: Path) -> None:
    first = do(config, DEPTHS)
    edited(config, "red apple pie 3 4", "red apple pie 3")
    sweep = do(config, DEPTHS)
    tracking = load_config(config).tracking
    client = MlflowClient(tracking_uri=tracking.uri)
    runs = client.search_runs([client.get_experiment_by_name("test").experiment_id])
    [parent] = [one for one in runs if one.info.run_name == sweep.folder.sweep_id]
    children = {one.info.run_name: one for one in runs if one.info.run_id != parent.info.run_id}
    assert (json.loads(parent.data.tags["grid"]), parent.data.tags["dataset"]) == ({"data.depth": [2, 5]}, "rows")
    assert parent.data.metrics == {"best/ndcg_at_10": 1.0, "best/mrr": 1.0}
    assert "1.0000" in parent.data.tags["mlflow.note.content"]
    assert len(children) == 3
    replaced = children[first.folder.run_folder(at(first, depth=5)).run_id].data.tags["replaced_by"]
    assert replaced == f"{sweep.folder.run_folder(at(sweep, depth=5)).run_id}: its data was edited"
    for point in sweep.state.points:
        child = children[sweep.folder.run_folder(point).run_id]
        assert child.info.run_id == point.mlflow_run_id
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.tags["swept.data.depth"] == child.data.params["data.depth"] == str(point.values["data.depth"])
        assert child.data.tags["sweep"] == sweep.folder.sweep_id
        assert child.data.metrics["mrr"] == point.metrics["mrr"]
        assert "replaced_by" not in child.data.tags


def test_a_dead_tracking_server_costs_no_result_and_sync_logs_all(config: Path, tmp_path: Path) -> None:
    dead = "http://127.0.0.1:9"
    sweep = do(config, DEPTHS, overrides=(f"tracking.uri={dead}",))
    assert sweep.exit_code == 4
    assert all(point.exit_code == 0 and point.mlflow_run_id is None for point in sweep.state.points)
    live = new_database(tmp_path / "later.db")
    parent_id = sync_sweep(sweep.folder.path, live)
    client = MlflowClient(tracking_uri=live)
    parent = client.get_run(parent_id)
    found = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent_id}'")
    assert sorted(one.data.tags["swept.data.depth"] for one in found) == ["2", "5"]
    assert {point["mlflow_run_id"] for point in told(sweep)["points"]} == {one.info.run_id for one in found}
    assert parent.data.metrics["best/mrr"] == 1.0


def test_without_tracking_nothing_is_logged_and_sync_asks_where_to(config: Path) -> None:
    sweep = do(config, DEPTHS, overrides=("tracking.uri=null",))
    assert sweep.exit_code == 0
    with pytest.raises(DataError, match="say where to log it with --uri"):
        sync_sweep(sweep.folder.path)


def test_the_table_marks_the_best_and_the_comparison_is_named(config: Path) -> None:
    sweep = do(config, DEPTHS, overrides=("tracking.uri=null",))
    [section] = sweep_document(sweep.state).sections
    [table] = section.blocks
    headings = [column.heading for column in table.columns]  # type: ignore[union-attr]
    assert headings == ["data.depth", "ndcg@10", "mrr", "pairs scored", "pairs/s", "outcome"]
    rows = [[getattr(one, "text", one) for one in row] for row in table.rows]  # type: ignore[union-attr]
    assert [row[0] for row in rows] == ["2", "5"]
    assert [row[2] for row in rows] == ["0.2000", "1.0000 *"]
    assert rows[0][3:] == ["0", "–", "done"]
    assert best(sweep.state) == {"ndcg_at_10": 1.0, "mrr": 1.0}
    command = compare_command(sweep.folder, sweep.state)
    runs = [str(sweep.folder.run_folder(point).path) for point in sweep.state.points]
    assert command == f"rerank-eval compare {runs[0]} {runs[1]}"
    assert "2 of 2 points have results" in to_markdown(sweep_document(sweep.state))


def test_nothing_starts_where_a_single_point_is_wrong(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.depth"):
        do(config, "data.depth=[2, 0]")
    assert not Path(load_config(config).output.dir).exists()


def test_the_plan_names_the_points_in_their_order_and_starts_nothing(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = SweepOrder(config, ["data.depth=[2, 5]", "model.instruction=[a, b]"])
    print_plan(order, as_json=True)
    plan = json.loads(capsys.readouterr().out)["points"]
    assert [(one["engine"], one["values"]["data.depth"]) for one in plan] == [(1, 5), (1, 2), (2, 5), (2, 2)]
    print_plan(order, as_json=False)
    assert "4 points, 2 engine settings; nothing was started" in capsys.readouterr().out
    assert not Path(load_config(config).output.dir).exists()


def test_a_sweep_of_a_bundled_config_is_called_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    overlap = ("model.name=overlap", "data.limit=2", "tracking.uri=null")
    sweep = do(Path("demo"), DEPTHS, name=None, overrides=overlap)
    assert sweep.exit_code == 0
    assert told(sweep)["name"].startswith("demo-")
    assert at(sweep, depth=5).pairs == 10


def test_a_sweep_at_work_is_not_run_twice(config: Path, tmp_path: Path) -> None:
    folder = SweepFolder.open(Path(load_config(config).output.dir), "mine")
    with folder.locked(), pytest.raises(DataError, match=r"at work already in another process\. Choose another --name"):
        do(config, DEPTHS)


def test_a_state_file_that_is_not_ours_is_one_line(config: Path) -> None:
    folder = SweepFolder.open(Path(load_config(config).output.dir), "mine")
    folder.state.write_text("{}")
    with pytest.raises(DataError, match=r"sweep\.json: cannot be read \(.*\)\. Remove it"):
        do(config, DEPTHS)


def test_a_folder_without_a_finished_point_has_nothing_to_log(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no finished point"):
        sync_sweep(tmp_path)
