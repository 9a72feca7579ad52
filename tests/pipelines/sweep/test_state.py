"""Points of a table that were given different data, or were computed otherwise, are told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.config import RunConfig
from pipelines.runs.folder import RunFolder
from pipelines.sweep.folder import PointResult, SweepFolder, SweepState
from pipelines.sweep.grid import GridPoint
from pipelines.sweep.report import best, sweep_document
from pipelines.sweep.state import sweep_remarks, take_numbers
from stages.report.document import Table
from tests.pipelines.finished_runs import METRICS


def remarks_of(path: Path, points: list[tuple[dict[str, Any], dict[str, Any]]]) -> list[str]:
    """Of a sweep of these points: the sections of each one's config, and what of its metrics.json is not as usual."""
    folder, grid, results = SweepFolder(path), [], []
    for place, (sections, changed) in enumerate(points):
        config = RunConfig.model_validate({"data": {"format": "jsonl", "path": "rows.jsonl"}} | sections)
        run = RunFolder(folder.points / str(place))
        run.path.mkdir(parents=True)
        run.metrics.write_text(json.dumps(METRICS | {"run_id": "x", "quality": {}} | changed))
        grid.append(GridPoint({}, config))
        results.append(PointResult(name="x", values={}, config_digest="c", run_folder=f"points/{place}", exit_code=0))
    state = SweepState(sweep_id="s", name="s", config="c", overrides=[], grid={}, points=results)
    return list(sweep_remarks(folder, state, grid))


def test_a_point_that_a_model_judged_is_the_best_of_no_metric_of_people_s(tmp_path: Path) -> None:
    folder, points = SweepFolder(tmp_path), []
    config = RunConfig.model_validate({"data": {"format": "jsonl", "path": "rows.jsonl"}})
    for name, by, value in (("a", "people", 0.5), ("b", "model", 0.9)):
        run = RunFolder(folder.points / name)
        run.path.mkdir(parents=True)
        judged = {"quality": {"reranked": {"ndcg_at_10": value}}, "judgements": {"kind": "qrels", "by": by}}
        run.metrics.write_text(json.dumps(METRICS | {"run_id": name} | judged))
        points.append(PointResult(name=name, values={}, config_digest=name, exit_code=0))
        take_numbers(points[-1], run, folder, config)
    state = SweepState(sweep_id="s", name="s", config="c", overrides=[], grid={}, points=points)
    assert best(state) == {"ndcg_at_10": 0.5, "by_model/ndcg_at_10": 0.9}
    (section,) = sweep_document(state).sections
    (table,) = section.blocks
    assert isinstance(table, Table)
    assert [column.heading for column in table.columns][:2] == ["ndcg@10", "ndcg@10, by model judgement"]


def with_depth(depth: int) -> dict[str, Any]:
    return {"data": {"format": "jsonl", "path": "rows.jsonl", "depth": depth}}


OTHER: dict[str, Any] = {"candidates_digest": "other"}
ON_GPU: dict[str, Any] = {"identity": {"dtype": "bfloat16", "device": "cuda"}}
HALF: dict[str, Any] = {"model": METRICS["model"] | {"dtype": "float16"}}


@pytest.mark.parametrize(
    ("points", "told"),
    [
        ([({}, {}), ({}, {})], []),
        ([({}, {}), ({}, OTHER)], ["while the sweep ran its data was edited"]),
        ([(with_depth(2), {}), (with_depth(5), OTHER)], []),
        ([(with_depth(2), {}), (with_depth(5), {"judgements_digest": "x"})], ["its judgements were edited"]),
        ([({}, {}), ({}, HALF)], ["computed in bfloat16 and float16: under another --name"]),
        ([({}, ON_GPU), ({}, {"identity": {"dtype": None, "device": None}})], []),
        ([({}, ON_GPU), ({}, {})], ["computed in bfloat16 and bfloat16 on cuda: "]),
        ([({}, {}), ({"engine": {"dtype": "float16"}}, HALF)], []),
    ],
)
def test_points_that_share_what_they_were_given_and_differ_in_it_are_told(
    points: list[tuple[dict[str, Any], dict[str, Any]]], told: list[str], tmp_path: Path
) -> None:
    found = remarks_of(tmp_path, points)
    assert len(found) == len(told)
    assert all(part in remark for part, remark in zip(told, found, strict=True))
