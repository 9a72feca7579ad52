"""A job over several first stages: each pair is scored once, and each first stage is measured as if it were alone."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from pipelines.base.config import load_config
from pipelines.cli.app import main
from pipelines.job.console import JobConsole
from pipelines.job.run import run
from pipelines.runs.finished import open_folder
from pipelines.runs.folder import RunFolder
from pipelines.runs.report import run_report
from pipelines.tracking.content import run_note
from pipelines.tracking.sync import sync_run
from stages.core.errors import DataError
from stages.files.rankings import read_rankings
from stages.files.tables import read_candidates
from stages.report.markdown import to_markdown

WriteConfig = Callable[[dict[str, Any]], Path]
DEMO = Path(__file__).parents[3] / "configs" / "demo"


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, str]:
    """BM25's list, and one that holds some of it in another order and leaves three queries out."""
    bm25 = DEMO / "runs" / "bm25.trec"
    lines = [line.split() for line in bm25.read_text().splitlines()]
    shuffled, left_out = random.Random(7), sorted({line[0] for line in lines})[:3]
    other = tmp_path / "other.trec"
    kept = [line for line in lines if line[0] not in left_out and shuffled.random() < 0.7]
    other.write_text("".join(f"{line[0]} Q0 {line[2]} 1 {shuffled.random():.6f} other\n" for line in kept))
    return {"bm25": str(bm25), "other": str(other)}


def told(folder: RunFolder) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(folder.metrics.read_text())
    return content


def sections(**data: Any) -> dict[str, Any]:
    return {
        "data": {"format": "beir", "path": str(DEMO), "depth": 20} | data,
        "model": {"name": "overlap"},
        "evaluate": {"metrics": ["ndcg@10", "mrr"]},
    }


def remarks(folder: RunFolder) -> list[str]:
    found: list[str] = json.loads(folder.analysis.read_text())["remarks"]
    return found


def do(config: Path) -> RunFolder:
    return run(load_config(config), JobConsole(quiet=True))


def test_each_first_stage_is_measured_as_if_it_were_alone_and_each_pair_is_scored_once(
    local_ray: None, write_config: WriteConfig, runs: dict[str, str], tmp_path: Path
) -> None:
    alone = {name: do(write_config(sections(run=path))) for name, path in runs.items()}
    together = do(write_config(sections(runs=runs)))
    assert [child.path.name for child in together.children()] == ["bm25", "other"]
    for name, folder in alone.items():
        child = together.child(name)
        assert told(child)["quality"] == told(folder)["quality"]
        for key in ("config_digest", "candidates_digest"):
            assert told(child)[key] == told(folder)[key]
        assert child.trec_run.read_text() and sorted(child.trec_run.read_text().splitlines()) == sorted(
            folder.trec_run.read_text().splitlines()
        )
        assert told(child)["part_of"] == together.run_id
        assert told(child)["throughput"]["scored_pairs"] is None
    pairs = {
        (one.query_id, doc)
        for folder in alone.values()
        for one in read_candidates(folder.candidates)
        for doc in one.doc_ids
    }
    scored = [(one.query_id, doc) for one in read_rankings(together.rankings) for doc in one.doc_ids]
    assert len(scored) == len(pairs) == told(together)["throughput"]["scored_pairs"]
    assert set(scored) == pairs
    assert told(together)["quality"]["first_stage"] is None
    assert told(together)["quality"]["reranked"]["ndcg_at_10"] > 0
    left_out = "3 of 76 judged queries have no candidates and count as 0, such as "
    assert remarks(together.child("bm25")) == remarks(alone["bm25"]) == []
    assert [remark.startswith(left_out) for remark in remarks(together.child("other"))] == [True]
    assert remarks(together) == [f"data.runs other: {remark}" for remark in remarks(alone["other"])]


def test_what_meets_in_part_is_told_in_the_first_lines_and_in_the_verdict_counted_before_the_limit(
    local_ray: None,
    write_config: WriteConfig,
    runs: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = io.StringIO()
    config = write_config(sections(run=runs["other"], limit=5))
    folder = run(load_config(config), JobConsole(file=file))
    lines = file.getvalue().splitlines()
    [remark] = remarks(folder)
    assert remark.startswith("3 of 76 judged queries have no candidates (before data.limit), such as ")
    first, verdict = (
        next(place for place, line in enumerate(lines) if line.startswith(word)) for word in ("can", "ver")
    )
    assert lines[first + 1] == f"mind        {remark}"
    assert f"mind        {remark}" in lines[verdict + 1 :]
    opened = open_folder(folder.path)
    assert opened.verdict is not None and opened.verdict.endswith(f". Mind: {remark}")
    assert f"Mind: {remark}." in to_markdown(run_report(opened.content)).replace("\\", "")
    assert remark in run_note(opened.content)
    monkeypatch.setattr("pipelines.job.run.run", lambda *_: folder)
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["run", "--config", str(config), "--json"])
    assert capsys.readouterr() == (folder.metrics.read_text(), f"mind: {remark}\n")


def test_candidates_of_other_queries_than_are_judged_end_the_job_before_anything_is_scored(
    local_ray: None, write_config: WriteConfig, runs: dict[str, str], tmp_path: Path
) -> None:
    other = Path(runs["other"])
    other.write_text("".join(f"x{line}\n" for line in other.read_text().splitlines()))
    for data in ({"run": str(other)}, {"runs": runs}, {"run": str(other), "limit": 2}):
        with pytest.raises(DataError, match=r"other\.trec and .*test\.tsv have no query in common") as raised:
            do(write_config(sections(**data)))
        assert raised.value.exit_code == 2
    assert not list(tmp_path.glob("results/*/rankings"))


def test_in_mlflow_they_are_children_of_one_run_and_a_second_sync_changes_nothing(
    local_ray: None, write_config: WriteConfig, runs: dict[str, str], tmp_path: Path
) -> None:
    folder = do(write_config(sections(runs=runs)))
    sync_run(folder.child("other").path)  # one of several stands for all
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path}/mlflow.db")
    experiment = client.get_experiment_by_name("test")
    assert experiment is not None
    logged: dict[str, Run] = {one.info.run_name: one for one in client.search_runs([experiment.experiment_id])}
    assert sorted(logged) == [folder.run_id, f"{folder.run_id}.bm25", f"{folder.run_id}.other"]
    parent = logged[folder.run_id]
    for child in folder.children():
        one = logged[child.run_id]
        assert one.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert one.data.tags["first_stage"] == child.path.name
        assert one.data.metrics["first_stage/ndcg_at_10"] == told(child)["quality"]["first_stage"]["ndcg_at_10"]
        assert "throughput/pairs_per_s" not in one.data.metrics
    assert parent.data.metrics["throughput/scored_pairs"] == told(folder)["throughput"]["scored_pairs"]
