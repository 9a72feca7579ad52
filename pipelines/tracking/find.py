"""What a user calls a run -> the run: a folder, or one that MLflow holds. And what else is done to the latter: listed,
tagged, put under a parent, compared. All through `client`.

Each function raises TrackingError where MLflow cannot be reached or refuses.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pipelines.base.logs import libraries_log_to
from pipelines.base.places import place_in
from pipelines.base.redaction import redacted_text
from pipelines.runs.finished import FinishedRun
from pipelines.runs.read import RunContent, read_run_folder
from pipelines.tracking.client import (
    KIND_TAG,
    NOTE_TAG,
    RUN_TAG,
    create_run,
    experiment_of,
    log_params,
    log_points,
    log_tags,
    opened,
    replacing,
    runs_named,
    search,
)
from pipelines.tracking.values import SeriesPoint
from stages.core.errors import DataError

FETCHED = (
    "metrics.json",
    "analysis.json",
    "per_query.parquet",
    "config.yaml",
    "environment.json",
    "timeline.parquet",
    "system.parquet",
)
ROWS = ("failures.parquet", "rankings")


class LoggedRun(NamedTuple):
    """A run as MLflow knows it: our run_id, MLflow's own id, and its tags."""

    name: str
    mlflow_id: str
    tags: dict[str, str]


def find_run(reference: str, uri: str | None, to: Path) -> RunContent:
    """`reference` is a run folder, or the id or name of a run in MLflow at `uri`, whose files are fetched into `to`.

    Raises DataError where there is no such finished run, TrackingError where MLflow cannot be reached.
    """
    path = Path(reference)
    if path.is_dir():
        return read_run_folder(path)
    if uri is None:
        raise DataError(f"{reference}: no such run folder; to look it up in MLflow, say where with --uri")
    if "/" in reference or reference in (".", ".."):
        raise DataError(f"{reference}: no such run folder. Give an existing one, or a run's id or name in MLflow")
    return read_run_folder(fetch_run(uri, reference, to=to))


@contextmanager
def found_run(reference: str, uri: str | None) -> Iterator[RunContent]:
    """`find_run`, with a folder for what is fetched, which is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="rerank-eval-") as fetched:
        with libraries_log_to(Path(fetched, "logs")):
            run = find_run(reference, uri, Path(fetched))
        yield run


def fetched_run(reference: str, uri: str) -> FinishedRun:
    """A run in MLflow, for a caller in Python: its files stay until it is dropped."""
    folder = tempfile.TemporaryDirectory(prefix="rerank-eval-")
    with libraries_log_to(Path(folder.name, "logs")):
        run = read_run_folder(fetch_run(uri, reference, Path(folder.name), rows=True))
    return FinishedRun(run, keeps=folder)


def ensure_parent(uri: str, experiment: str, name: str, tags: Mapping[str, str]) -> str:
    """MLflow's id of the run that others are parts of; made where there is none, else given these tags too."""
    with opened(uri) as client:
        experiment_id = experiment_of(client, experiment)
        if found := runs_named(client, [experiment_id], name):
            parent_id = str(found[0].info.run_id)
        else:
            parent_id = create_run(client, experiment_id, name, _now_ms(), {KIND_TAG: "sweep"})
            client.set_terminated(parent_id)
        log_tags(client, parent_id, tags)
    return parent_id


def log_comparison(
    uri: str,
    experiment: str,
    name: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    files: Sequence[Path],
    links: Mapping[str, str],
) -> str:
    """Log a run that compares others, in place of an earlier one of this name; returns MLflow's id.

    `links` are the compared runs, name -> MLflow's id; they stand as tags `compared.1` ..., and as links at the end of
    the description, which a tag `mlflow.note.content` begins.
    """
    with opened(uri) as client:
        compared = {f"compared.{place}": mlflow_id for place, mlflow_id in enumerate(links.values(), 1)}
        lines = [f"- [{one}]({_page(client, mlflow_id)})" for one, mlflow_id in links.items()]
        note = "\n\n".join(part for part in (tags.get(NOTE_TAG), "\n".join(lines)) if part)
        told = {**tags, **compared, NOTE_TAG: note, KIND_TAG: "comparison"}
        return _log(client, experiment, name, params, told, metrics, files)


def log_finding(
    uri: str,
    experiment: str,
    name: str,
    kind: str,
    params: Mapping[str, Any],
    note: str,
    metrics: Mapping[str, float],
    files: Sequence[Path],
    tags: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Log what a command found about a service, or with a judge, in place of an earlier run of this name; returns
    MLflow's id.

    `kind` is the command's (`diagnosis`, `loadtest` ...), by which such runs are told from runs of the job; `note` is
    Markdown.
    """
    with opened(uri) as client:
        return _log(client, experiment, name, params, {**tags, NOTE_TAG: note, KIND_TAG: kind}, metrics, files)


def fetch_run(uri: str, id_or_name: str, to: Path, *, rows: bool = False) -> Path:
    """Download a run, named by MLflow's id or ours, to `to`/<run_id>/, which then reads like a run folder; with `rows`
    its rankings and failures too, which may be large.

    Raises DataError where there is none, or several of the name.
    """
    with opened(uri) as client:
        run = _one_run(client, uri, id_or_name, experiment=None)
        there = {file.path for file in client.list_artifacts(run.info.run_id)}
        if "metrics.json" not in there:
            raise DataError(
                f"run {id_or_name} at {redacted_text(uri)} has no metrics.json: rerank-eval logged no run so."
            )
        told = f"run {run.info.run_id} at {redacted_text(uri)}: its tag {RUN_TAG}"
        folder = place_in(to, run.data.tags.get(RUN_TAG, run.info.run_id), told)
        folder.mkdir(parents=True, exist_ok=True)
        for name in (*FETCHED, *(ROWS if rows else ())):
            if name in there:
                client.download_artifacts(run.info.run_id, name, str(folder))  # which keeps to the folder
    return folder


def latest_runs(uri: str, experiment: str, dataset: str | None) -> list[LoggedRun]:
    """The finished runs of an experiment over `dataset` (None: over any), newest first; no sweeps, no comparisons."""
    with opened(uri) as client:
        if (found := client.get_experiment_by_name(experiment)) is None:
            return []
        runs = search(client, [found.experiment_id], "attributes.status = 'FINISHED'")
    logged = [LoggedRun(run.data.tags[RUN_TAG], run.info.run_id, dict(run.data.tags)) for run in runs if _is_ours(run)]
    return [run for run in logged if dataset is None or run.tags.get("dataset") == dataset]


def logged_id(uri: str, run_name: str) -> str | None:
    """MLflow's id of our run, the newest where several experiments have it; None where none has."""
    with opened(uri) as client:
        runs = runs_named(client, [one.experiment_id for one in client.search_experiments()], run_name)
    return str(runs[0].info.run_id) if runs else None


def set_tags(uri: str, run_name: str, experiment: str, tags: Mapping[str, str]) -> None:
    """Add tags to a logged run; logging it once more keeps them. Raises DataError where there is none."""
    with opened(uri) as client:
        log_tags(client, _one_run(client, uri, run_name, experiment).info.run_id, tags)


def _log(
    client: Any,
    experiment: str,
    name: str,
    params: Mapping[str, Any],
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    files: Sequence[Path],
) -> str:
    now_ms = _now_ms()
    with replacing(client, experiment, name, now_ms, {KIND_TAG: tags[KIND_TAG]}) as run_id:
        log_params(client, run_id, params)
        log_tags(client, run_id, tags)
        log_points(client, run_id, [SeriesPoint(one, float(value), now_ms, 0) for one, value in metrics.items()])
        for file in files:
            client.log_artifact(run_id, str(file))
        client.set_terminated(run_id)
    return str(run_id)


def _one_run(client: Any, uri: str, id_or_name: str, experiment: str | None) -> Any:
    """Raises DataError where there is none or several."""
    place = redacted_text(uri)
    experiments = [one for one in client.search_experiments() if experiment in (None, one.name)]
    if not experiments:
        raise DataError(
            f"MLflow at {place} has no experiment {experiment}. See tracking.experiment in the run's config."
        )
    ids = [one.experiment_id for one in experiments]
    if re.fullmatch(r"[0-9a-f]{32}", id_or_name):
        runs = search(client, ids, f"attributes.run_id = '{id_or_name}'")
    else:
        runs = runs_named(client, ids, id_or_name)
    if not runs:
        raise DataError(
            f"MLflow at {place} has no run {id_or_name} in {experiment or 'any experiment'}. Give MLflow's run id or "
            "the name of a run folder; rerank-eval sync FOLDER logs one."
        )
    if len(runs) > 1:
        found = ", ".join(f"{run.info.run_id} in experiment {run.info.experiment_id}" for run in runs)
        raise DataError(f"MLflow at {place} has {len(runs)} runs {id_or_name} ({found}). Give one by its MLflow id.")
    return runs[0]


def _is_ours(run: Any) -> bool:
    return RUN_TAG in run.data.tags and run.data.tags.get(KIND_TAG, "run") == "run"


def _page(client: Any, mlflow_id: str) -> str:
    """The address of a run in MLflow's pages, from any of them."""
    return f"#/experiments/{client.get_run(mlflow_id).info.experiment_id}/runs/{mlflow_id}"


def _now_ms() -> int:
    return int(time.time() * 1000)
