"""A sweep -> MLflow: a parent run that tells the grid and the best values, and each point's run below it."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

from pipelines.base.logs import libraries_log_to
from pipelines.base.sections import TrackingSettings
from pipelines.runs.config import read_config, section, tracking_of
from pipelines.runs.folder import RunFolder
from pipelines.sweep.folder import PointResult, SweepFolder, SweepState
from pipelines.sweep.report import best, sweep_document
from pipelines.tracking.client import NOTE_TAG, log_points, opened, track
from pipelines.tracking.copying import copy_results
from pipelines.tracking.find import ensure_parent, set_tags
from pipelines.tracking.sync import where_to_log
from pipelines.tracking.values import SeriesPoint
from stages.core.errors import DataError, TrackingError
from stages.report.markdown import to_markdown

REPLACED_TAG = "replaced_by"


class SweepTracker:
    """Logs points as they end. After a first failure nothing more is tried: each try of a dead server takes seconds.

    `fault` is what to tell the user then; `logged` maps our run_id to MLflow's.
    """

    def __init__(self, tracking: TrackingSettings, folder: SweepFolder) -> None:
        self.fault: str | None = None
        self.logged: dict[str, str] = {}
        self._tracking, self._folder = tracking, folder
        self._parent_id: str | None = None

    def log(self, folder: RunFolder) -> None:
        """Log a point's run under the sweep's. Raises nothing that MLflow does."""
        if self._tracking.uri is None or self.fault:
            return
        try:
            if self._parent_id is None:
                self._parent_id = _parent(self._tracking, self._folder.sweep_id, {})
            if run_id := track(folder, _with_tags_of(folder, self._tracking), self._parent_id):
                self.logged[folder.run_id] = run_id
        except TrackingError as error:
            self._broken(error)

    def mark_replaced(self, point: PointResult) -> None:
        """Tag the run whose results stand for the point no more: both are the parent's children."""
        if self._tracking.uri is None or self.fault or not point.replaces or not point.finished:
            return
        earlier, by = Path(point.replaces).name, self._folder.run_folder(point).run_id
        with contextlib.suppress(DataError):  # it was never logged
            try:
                set_tags(self._tracking.uri, earlier, self._tracking.experiment, {REPLACED_TAG: f"{by}: {point.anew}"})
            except TrackingError as error:
                self._broken(error)

    def finish(self, state: SweepState) -> None:
        """Tell the parent what was found."""
        if self._tracking.uri is None or self.fault or not any(point.finished for point in state.points):
            return
        try:
            _log_parent(self._tracking, state)
        except TrackingError as error:
            self._broken(error)

    def _broken(self, error: TrackingError) -> None:
        self.fault = f"{error} All of the sweep at once: rerank-eval sync {self._folder.path}"


def sync_sweep(path: Path, uri: str | None = None) -> str:
    """Log a sweep's folder, to `uri` or where its points were meant to go; returns the parent's MLflow id.

    Raises DataError where there is nothing to log, TrackingError where MLflow fails.
    """
    folder = SweepFolder(path.resolve())
    state = folder.read()
    finished = [point for point in state.points if point.finished] if state else []
    if state is None or not finished:
        raise DataError(f"{path} holds no finished point of a sweep. Run the sweep again.")
    first = folder.run_folder(finished[0])
    config = read_config(first.config)
    tracking = where_to_log(config, uri, first.config)
    if tracking.uri is None:
        raise DataError(f"{path} was run with tracking.uri null: say where to log it with --uri")
    with libraries_log_to(folder.logs):
        parent_id = _parent(tracking, state.sweep_id, {})
        for point in finished:
            run = folder.run_folder(point)
            copy_results(run, section(config, "output").get("copy_to") or None)
            if point.exit_code == TrackingError.exit_code:
                point.exit_code, point.message = 0, None
            point.mlflow_run_id = track(run, _with_tags_of(run, tracking), parent_id)
        _log_parent(tracking, state)
    folder.write(state)
    return parent_id


def _with_tags_of(run: RunFolder, tracking: TrackingSettings) -> TrackingSettings:
    """Where the sweep goes, under the tags of this point: its swept values are among them."""
    return tracking.model_copy(update={"tags": tracking_of(read_config(run.config)).tags})


def _log_parent(tracking: TrackingSettings, state: SweepState) -> None:
    parent_id = _parent(tracking, state.sweep_id, _parent_tags(state))
    now_ms = int(time.time() * 1000)
    with opened(str(tracking.uri)) as client:
        log_points(
            client, parent_id, [SeriesPoint(f"best/{key}", value, now_ms, 0) for key, value in best(state).items()]
        )


def _parent(tracking: TrackingSettings, name: str, tags: dict[str, Any]) -> str:
    return ensure_parent(str(tracking.uri), tracking.experiment, name, tags)


def _parent_tags(state: SweepState) -> dict[str, str]:
    return {
        "grid": json.dumps(state.grid, ensure_ascii=False, default=str),
        "dataset": state.dataset or "none",
        "points": str(len(state.points)),
        "failed_points": str(sum(bool(point.exit_code) for point in state.points)),
        NOTE_TAG: to_markdown(sweep_document(state)),
    }
