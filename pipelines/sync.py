"""`rerank-eval sync`: a run folder, or a sweep's -> MLflow, again or for the first time."""

from __future__ import annotations

from pathlib import Path

from pipelines.config import TrackingSettings, load_config
from pipelines.copying import copy_results
from pipelines.logs import libraries_log_to
from pipelines.run_folder import RunFolder
from pipelines.tracking import track
from stages.errors import DataError


def sync_run(path: Path, uri: str | None = None) -> str:
    """Log the folder to its own tracking URI, or to `uri`; returns MLflow's run id. One of several is logged with all,
    a sweep's with its points.

    Raises DataError where the folder is not one of a finished run, TrackingError where MLflow fails.
    """
    if (path / "sweep.json").is_file():
        from pipelines.sweep_tracking import sync_sweep

        return sync_sweep(path, uri)
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
