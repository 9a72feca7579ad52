"""`rerank-eval sync`: a run folder -> MLflow, again or for the first time."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.base.logs import libraries_log_to
from pipelines.base.redaction import hidden_in
from pipelines.base.sections import TrackingSettings
from pipelines.runs.config import read_config, section, tracking_of
from pipelines.runs.folder import RunFolder
from pipelines.tracking.client import track
from pipelines.tracking.copying import copy_results
from pipelines.tracking.uri import INSTEAD, check_tracking
from stages.core.errors import ConfigError, DataError


def sync_run(path: Path, uri: str | None = None) -> str:
    """Log the folder to its own tracking URI, or to `uri`; returns MLflow's run id. One of several is logged with all.

    Raises DataError where the folder is not one of a finished run, TrackingError where MLflow fails.
    """
    folder = RunFolder(path.resolve())
    folder = folder.parent or folder
    for needed in (folder.config, folder.metrics, folder.environment):
        if not needed.is_file():
            raise DataError(f"{path} is not the folder of a finished run: {needed.name} is missing. Run the job again.")
    config = read_config(folder.config)
    tracking = where_to_log(config, uri, folder.config)
    try:
        check_tracking(tracking.uri)
    except ConfigError as error:
        raise ConfigError(f"{error}: rerank-eval sync {shlex.quote(str(path))} --uri {INSTEAD}") from error
    with libraries_log_to(folder.logs):
        copy_results(folder, section(config, "output").get("copy_to") or None)
        run_id = track(folder, tracking)
    if run_id is None:
        raise DataError(f"{path} was run with tracking.uri null: say where to log it with --uri")
    return run_id


def where_to_log(config: Mapping[str, Any], uri: str | None, file: Path) -> TrackingSettings:
    """The tracking settings of a run's config, with `uri` instead of its own where it is given.

    Raises DataError where the config, read from `file`, is a copy that lacks the secret of a place to go to.
    """
    tracking = tracking_of(config, uri)
    places = {"tracking.uri": tracking.uri, "output.copy_to": section(config, "output").get("copy_to")}
    if hidden := hidden_in(places):
        mend = "say where to log with --uri" if "tracking.uri" in hidden else "sync the run folder itself"
        raise DataError(f"{file}: {hidden[0]}: *** stands in place of a secret, as in each copy of a run: {mend}")
    return tracking
