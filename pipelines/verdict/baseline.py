"""What a run is held against: the last run that passed its gate, in a folder of results or in MLflow; and a pinned one.

Runs are ordered by when they started, as their metrics.json says it in UTC: a folder's name is in local time, which is
set back once a year, and a file's time is that of its last copy.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelines.base.redaction import redacted_text
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import RunContent, moment, read_metrics, read_run_folder
from pipelines.tracking.client import PARENT_TAG
from pipelines.tracking.content import GATE_TAG
from pipelines.tracking.find import LoggedRun, find_run, latest_runs
from stages.core.errors import DataError, TrackingError
from stages.core.words import counted
from stages.quality.regression import Ruling


@dataclass(frozen=True, slots=True)
class Places:
    """Where runs are looked for: a folder of run folders, an experiment of the MLflow at `uri`. None: not there."""

    folder: Path | None = None
    uri: str | None = None
    experiment: str | None = None

    def __str__(self) -> str:
        told = [str(self.folder)] if self.folder else []
        told += [f"{self.experiment} at {redacted_text(self.uri)}"] if self.uri else []
        return " and ".join(told)


@dataclass(frozen=True, slots=True)
class Found:
    """The last run that passed, None where there is none; `unknown` says why that could not be learned, `notes` what
    else the user should know.
    """

    baseline: RunContent | None = None
    unknown: str | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Passed:
    """A run that passed its gate. `reference` is its folder, or MLflow's id."""

    started: datetime | None
    run_id: str
    reference: str
    in_folder: bool


def that_is_there(uri: str | None) -> str | None:
    """MLflow's URI, but None for an SQLite database that is not there: looking into it would make it."""
    prefix = "sqlite:///"
    if uri is None or not uri.startswith(prefix):
        return uri
    return uri if Path(uri.removeprefix(prefix).partition("?")[0]).is_file() else None


def last_passed(run: RunContent, places: Places, to: Path) -> Found:
    """The last run before `run` that passed, of the same experiment over the same data; it is fetched into `to`.

    One whose gate could not tell, or that no gate judged, is none. Raises DataError for a run that does not say when it
    started.
    """
    if run.started is None:
        raise DataError(
            f"{run.run_id} does not say when it started, as runs of 0.1: name its baseline with --against or --pin"
        )
    logged, unasked = _logged(places)
    refused = {one.name for one in logged if one.tags.get(GATE_TAG, Ruling.PASSED) != Ruling.PASSED}
    passed = {one.run_id: one for one in _in_mlflow(logged, run)}
    passed |= {one.run_id: one for one in _in_folder(places.folder, run) if one.run_id not in refused}
    passed.pop(run.run_id, None)
    earlier = [one for one in passed.values() if one.started is not None and one.started < run.started]
    notes = _notes(places, unasked, sum(one.started is None for one in passed.values()))
    for one in sorted(earlier, key=lambda one: (one.started, one.run_id), reverse=True):
        if not one.in_folder or _is_night(Path(one.reference), run, places):
            return Found(find_run(one.reference, places.uri, to), notes=notes)
    if unasked:
        return Found(
            unknown=f"whether an earlier run passed is not known: there is none in {places.folder}, and {unasked}"
        )
    notes.append(
        f"no earlier run over {run.environment.get('dataset')} passed its gate in {places}: limits alone decide, and "
        "if it passes, this run is the next one's baseline"
    )
    return Found(notes=notes)


def pinned_run(reference: str, places: Places, to: Path) -> RunContent:
    """A run that is named by its folder, by its name in the folder of results, or by its id or name in MLflow.

    Raises DataError where there is none, TrackingError where MLflow cannot be asked.
    """
    beside = places.folder / reference if places.folder else None
    if beside is not None and beside.is_dir() and not Path(reference).is_dir():
        return read_run_folder(beside)
    return find_run(reference, places.uri, to)


def _logged(places: Places) -> tuple[list[LoggedRun], str | None]:
    """MLflow's runs, and why it could not be asked, where runs can be looked for elsewhere."""
    if places.uri is None or places.experiment is None:
        return [], None
    try:
        runs = latest_runs(places.uri, places.experiment, dataset=None)
    except TrackingError as error:
        if places.folder is None:
            raise
        return [], str(error)
    if not runs and places.folder is None:
        raise DataError(
            f"--against-latest {places.experiment}: MLflow at {redacted_text(places.uri)} has no finished run of such "
            "an experiment. See its name there; for a first night give --min and --max alone"
        )
    return [run for run in runs if PARENT_TAG not in run.tags], None  # without parts of others


def _in_mlflow(logged: list[LoggedRun], run: RunContent) -> Iterator[_Passed]:
    dataset = run.environment.get("dataset")
    for one in logged:
        same_data = dataset is None or one.tags.get("dataset") == dataset
        if same_data and one.tags.get(GATE_TAG) == Ruling.PASSED:
            yield _Passed(moment(one.tags.get("started")), one.name, one.mlflow_id, False)


def _in_folder(folder: Path | None, run: RunContent) -> Iterator[_Passed]:
    for path in sorted(folder.iterdir()) if folder and folder.is_dir() else ():
        one = RunFolder(path)
        if path.is_symlink() or not (one.gate.is_file() and one.metrics.is_file()):  # `latest` is a link
            continue
        if _json(one.gate).get("outcome") == Ruling.PASSED and path != run.folder.path:
            metrics = read_metrics(one)
            if not metrics.get("part_of"):
                yield _Passed(moment(metrics.get("started")), metrics["run_id"], str(path), True)


def _is_night(path: Path, run: RunContent, places: Places) -> bool:
    """Whether the run in this folder is of the same experiment over the same data: it may hold those of any job."""
    one = read_run_folder(path)
    wanted = places.experiment or _experiment(run)
    return (one.environment.get("dataset"), _experiment(one)) == (run.environment.get("dataset"), wanted)


def _experiment(run: RunContent) -> str | None:
    found: str | None = (run.config.get("tracking") or {}).get("experiment")
    return found


def _notes(places: Places, unasked: str | None, without_start: int) -> list[str]:
    notes = [f"the last run that passed was looked for in {places.folder} alone: {unasked}"] if unasked else []
    if without_start:
        notes.append(
            f"{counted(without_start, 'run')} that passed did not say when they started, as runs "
            "of 0.1: give --pin or --against to hold this one against such a run"
        )
    return notes


def _json(path: Path) -> Mapping[str, Any]:
    """Raises DataError."""
    try:
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}). Gate that run again, or remove the file") from error
    return content
