"""What a user calls a run -> the run: a folder, its name, or a run in MLflow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from pipelines.runs.folder import RunFolder
from stages.core.errors import DataError
from stages.core.records import QueryMetrics

NEEDED = {"run_id", "model", "quality", "coverage", "throughput", "queue", "cache", "scores", "tokens"}
"""Keys of metrics.json without which it is not a run's."""


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """A finished run, as other commands read it.

    `metrics`, `config`, `environment` and `analysis` are the contents of those files, the last two empty where they are
    missing; `first_stage` has no values where there was no single one.
    """

    folder: RunFolder
    metrics: Mapping[str, Any]
    config: Mapping[str, Any]
    first_stage: QueryMetrics
    reranked: QueryMetrics
    environment: Mapping[str, Any] = field(default_factory=dict)
    analysis: Mapping[str, Any] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        return str(self.metrics["run_id"])


def read_run_folder(path: Path) -> LoadedRun:
    """Raises DataError where the folder is not one of a finished run."""
    folder = RunFolder(path.resolve())
    for needed in (folder.metrics, folder.config):
        if not needed.is_file():
            raise DataError(f"{path} is not the folder of a finished run: {needed.name} is missing. Run the job again.")
    try:
        first_stage, reranked = read_per_query(folder.per_query)
        metrics = json.loads(folder.metrics.read_text(encoding="utf-8"))
        if not isinstance(metrics, dict) or not metrics.keys() >= NEEDED:
            raise ValueError(f"metrics.json has not the keys {', '.join(sorted(NEEDED))}")
        return LoadedRun(
            folder=folder,
            metrics=metrics,
            config=yaml.safe_load(folder.config.read_text(encoding="utf-8")),
            first_stage=first_stage,
            reranked=reranked,
            environment=_json_if_there(folder.environment),
            analysis=_json_if_there(folder.analysis),
        )
    except (OSError, ValueError, KeyError, yaml.YAMLError) as error:
        raise DataError(f"{path}: cannot be read ({str(error).splitlines()[0]}). Run the job again.") from error


def read_per_query(path: Path) -> tuple[QueryMetrics, QueryMetrics]:
    """The first stage's values and the reranked ones, from a per_query.parquet. Empty where there is no such file."""
    if not path.is_file():
        return QueryMetrics((), {}, ()), QueryMetrics((), {}, ())
    columns = pq.read_table(path, partitioning=None).to_pydict()
    query_ids, answered = tuple(columns.pop("query_id")), tuple(columns.pop("answered", ()))
    first_stage, reranked = (
        {name.removeprefix(side): tuple(values) for name, values in columns.items() if name.startswith(side)}
        for side in ("first_stage/", "reranked/")
    )
    # The first stage's own answers are not in the table; what compares values does not ask.
    return QueryMetrics(query_ids, first_stage, answered), QueryMetrics(query_ids, reranked, answered)


def _json_if_there(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content
