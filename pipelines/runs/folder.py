"""The folder of one run: what lies where, and how it is written. Everything is here before MLflow is called."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from stages.core.errors import DataError
from stages.core.metrics import Metrics
from stages.core.records import QueryMetrics
from stages.core.words import key_name, slug
from stages.telemetry.telemetry import SystemPoint, TimelinePoint

RUNS = "runs"
STAGES = "stages"
FIELD = "field/"
"""Before the name of a query's field, as the name of a column of per_query.parquet."""
FULL = (errno.ENOSPC, errno.EDQUOT)


class RunFolder:
    """`results/<run_id>/` and the paths in it.

    A job over several first stages has a folder of the same kind for each, `results/<run_id>/runs/<name>/`; a cascade
    has one for each stage, `results/<run_id>/stages/<number>/`, whose first has the job's own candidates. `texts` is
    where candidates lie with their texts while the job runs: in `candidates`; or in `private`, a folder elsewhere that
    is gone afterwards, where `candidates` is to hold none.
    """

    def __init__(self, path: Path, private: Path | None = None) -> None:
        self.path = path
        self.private = private
        self.stage_number = int(path.name) if path.parent.name == STAGES and path.name.isdecimal() else None
        within = path.parent.name == RUNS or self.stage_number is not None
        self.parent: RunFolder | None = RunFolder(path.parent.parent) if within else None
        own_name = path.name if self.stage_number is None else f"stage-{path.name}"
        self.run_id: str = f"{self.parent.run_id}.{own_name}" if self.parent else path.name
        self.config = path / "config.yaml"
        self.candidates = path / "candidates"
        self.texts = (private or path) / "candidates"
        if self.parent is not None and self.stage_number == 1:
            self.candidates = self.texts = self.parent.candidates
        self.rankings = path / "rankings"
        self.trec_run = path / "run.trec"
        self.failures = path / "failures.parquet"
        self.judgements = path / "judgements.parquet"
        self.per_query = path / "per_query.parquet"
        self.timeline = path / "timeline.parquet"
        self.metrics = path / "metrics.json"
        self.analysis = path / "analysis.json"
        self.report = path / "report.html"
        self.figures = path / "figures"
        self.system = path / "system.parquet"
        self.gate = path / "gate.json"
        self.environment = path / "environment.json"
        self.logs = path / "logs"

    @classmethod
    def create(cls, parent: Path, label: str) -> Self:
        """Make a folder named by time and label. Raises DataError where that is not allowed."""
        name = slug(label)[:40] or "run"
        folder = cls(parent / f"{datetime.now():%Y%m%d-%H%M%S}-{name}-{secrets.token_hex(2)}")
        try:
            folder.path.mkdir(parents=True)
        except OSError as error:
            raise DataError(
                f"output.dir {parent}: cannot make a run folder ({error.strerror}). Choose another."
            ) from error
        return folder

    @contextlib.contextmanager
    def told_when_full(self) -> Iterator[None]:
        """Raises DataError where the folder's disk is full, instead of OSError."""
        try:
            yield
        except OSError as error:
            if error.errno not in FULL:
                raise
            raise DataError(
                f"output.dir: cannot write {self.path}: {os.strerror(error.errno)}. Make room or choose another, and "
                "run the same command again; what rerank.store holds is not scored anew."
            ) from error

    def child(self, name: str) -> RunFolder:
        """The folder of one of several first stages."""
        return RunFolder(self.path / RUNS / name, self.private and self.private / RUNS / name)

    def children(self) -> list[RunFolder]:
        """Those of them that are there, by name."""
        return [RunFolder(path) for path in sorted((self.path / RUNS).glob("*"))]

    def stage(self, number: int) -> RunFolder:
        """The folder of a stage of a cascade, counted from 1."""
        within = Path(STAGES, str(number))
        folder = RunFolder(self.path / within, self.private and self.private / within)
        if number == 1:
            folder.texts = self.texts
        return folder

    def stages(self) -> list[RunFolder]:
        """Those of them that are there, in order."""
        found = (RunFolder(path) for path in (self.path / STAGES).glob("*"))
        return sorted((one for one in found if one.stage_number), key=lambda one: one.stage_number or 0)

    def link_as_latest(self) -> None:
        """Point `latest`, beside the folder, at it; atomically, as several jobs may end at once.

        A `latest` that is no link is somebody's own, and stays.
        """
        latest = self.path.parent / "latest"
        if latest.exists() and not latest.is_symlink():
            return
        partial = self.path.parent / f".latest-{self.run_id}"
        partial.symlink_to(self.run_id, target_is_directory=True)
        os.replace(partial, latest)

    def write_json(self, path: Path, content: Mapping[str, Any]) -> None:
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(partial, path)

    def write_timeline(self, points: list[TimelinePoint]) -> None:
        rows = [asdict(point) for point in points]
        pq.write_table(pa.Table.from_pylist(rows, schema=TIMELINE_SCHEMA), self.timeline)

    def write_system(self, points: list[SystemPoint]) -> None:
        """How busy each node was; nothing where no node told it."""
        if points:
            pq.write_table(pa.Table.from_pylist([asdict(point) for point in points]), self.system)

    def write_per_query(
        self,
        first_stage: QueryMetrics,
        reranked: QueryMetrics,
        fields: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
        judged_by: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """One row per judged query: `answered`, and each metric before, after and its change, under the names that it
        has in metrics.json and in MLflow (`delta/ndcg_at_10`); and those of the query's own fields that are given,
        field -> query id -> value. Where a model judged, `judged_by` says whose grades a query's values come of.

        `first_stage` without values, as where there is no single one, leaves the reranked columns alone.
        """
        columns: dict[str, Any] = {"query_id": reranked.query_ids, "answered": reranked.answered}
        for metric, after in reranked.values.items():
            key = key_name(metric)
            columns[f"reranked/{key}"] = after
            if before := first_stage.values.get(metric):
                columns[f"first_stage/{key}"] = before
                columns[f"delta/{key}"] = [b - a for a, b in zip(before, after, strict=True)]
        if judged_by:
            columns["judged_by"] = [judged_by[query_id] for query_id in reranked.query_ids]
        table = pa.table({name: list(values) for name, values in columns.items()})
        for name, of_query in fields.items():
            table = table.append_column(
                FIELD + name, pa.array([of_query.get(query_id) for query_id in reranked.query_ids], pa.string())
            )
        pq.write_table(table, self.per_query)


TIMELINE_SCHEMA = pa.schema(
    [
        pa.field(name, pa.int64() if name in ("queries_done", "pairs_done", "running", "waiting") else pa.float64())
        for name in TimelinePoint.__dataclass_fields__
    ]
)


def too_many_failed(metrics: Metrics, max_failed_share: float) -> bool:
    """Whether a finished run, by its metrics.json, ended with exit code 3: a stage of a cascade is enough for that."""
    stages = metrics.get("stages")
    parts = [one["coverage"] for one in stages] if stages else [metrics["coverage"]]
    return any(part["failed_pairs"] > max_failed_share * part["pairs"] for part in parts)
