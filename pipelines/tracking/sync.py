"""`rerank-eval sync`: a run folder -> MLflow, again or for the first time."""

from __future__ import annotations

from pathlib import Path

from pipelines.base.config import load_config
from pipelines.base.logs import libraries_log_to
from pipelines.base.sections import TrackingSettings
from pipelines.runs.folder import RunFolder
from pipelines.tracking.client import track
from pipelines.tracking.copying import copy_results
from stages.core.errors import DataError


def sync_run(path: Path, uri: str | None = None) -> str:
    """Log the folder to its own tracking URI, or to `uri`; returns MLflow's run id. One of several is logged with all.

    Raises DataError where the folder is not one of a finished run, TrackingError where MLflow fails.
    """
    folder = RunFolder(path.resolve())
    folder = folder.parent or folder
    for needed in (folder.config, folder.metrics, folder.environment):
        if not needed.is_file():
            raise DataError(f"{path} is not the folder of a finished run: {needed.name} is missing. Run the job again.")
    config = load_config(folder.config)
    tracking = config.tracking
    tracking = TrackingSettings(**(tracking.model_dump() | ({"uri": uri} if uri else {})))
    with libraries_log_to(folder.logs):
        copy_results(folder, config.output.copy_to)
        run_id = track(folder, tracking)
    if run_id is None:
        raise DataError(f"{path} was run with tracking.uri null: say where to log it with --uri")
    return run_id
