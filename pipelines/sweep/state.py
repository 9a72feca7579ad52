"""A sweep's points and the run folders that are there -> the content of sweep.json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.base.config import RunConfig
from pipelines.base.redaction import redacted, redacted_text
from pipelines.runs.folder import RunFolder, too_many_failed
from pipelines.runs.read import read_metrics
from pipelines.sweep.folder import PointResult, SweepFolder, SweepState
from pipelines.sweep.grid import GridPoint
from stages.core.errors import TooManyFailuresError


def sweep_state(
    folder: SweepFolder,
    name: str,
    config: Path,
    overrides: Sequence[str],
    grid: Mapping[str, Sequence[Any]],
    points: Sequence[GridPoint],
) -> SweepState:
    """With the results that an earlier try left, whether or not it lived to write them down. Without secrets."""
    earlier = folder.read()
    known = {point.config_digest: point for point in earlier.points} if earlier else {}
    runs = folder.finished_runs()
    results = []
    for point in points:
        digest = point.config.digest
        result = PointResult(name=point.name, values=redacted(point.values), config_digest=digest)
        if digest in runs:
            before = known.get(digest, result)
            result.exit_code, result.message = before.exit_code or 0, before.message
            result.mlflow_run_id = before.mlflow_run_id
            take_numbers(result, runs[digest], folder, point.config)
        results.append(result)
    return SweepState(
        sweep_id=folder.sweep_id,
        name=name,
        config=str(config),
        overrides=[redacted_text(one) for one in overrides],
        grid={key: [redacted({key: value})[key] for value in values] for key, values in grid.items()},
        points=results,
    )


def take_numbers(result: PointResult, run: RunFolder, folder: SweepFolder, config: RunConfig) -> None:
    """The numbers of the run folder, and too many failures where nobody has noted them."""
    result.run_folder = str(run.path.relative_to(folder.path))
    if not run.metrics.is_file():
        return
    metrics = read_metrics(run)
    coverage, throughput = metrics["coverage"], metrics["throughput"]
    result.metrics = metrics["quality"]["reranked"] or {}
    result.pairs, result.scored_pairs = coverage["pairs"], throughput["scored_pairs"]
    result.wall_s, result.pairs_per_s = throughput["wall_s"], throughput["pairs_per_s"]
    if result.exit_code == 0 and too_many_failed(coverage, config.rerank.max_failed_share):
        result.exit_code = TooManyFailuresError.exit_code
        result.message = f"{coverage['failed_pairs']:,} of {coverage['pairs']:,} pairs failed"


def dataset(folder: SweepFolder, state: SweepState) -> str | None:
    """The data set's name, as the first run with results calls it."""
    for point in state.points:
        file = folder.run_folder(point).environment
        if point.finished and file.is_file():
            return str(json.loads(file.read_text(encoding="utf-8"))["dataset"])
    return None
