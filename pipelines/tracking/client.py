"""A run folder -> an MLflow run. The only place that imports MLflow; `content` and `values` make what it is to hold.

Local first: when a run is logged everything is on disk. A run is found again by its tag `rerank_eval.run_id`, and
logging it once more replaces what an earlier try left.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import tempfile
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.base.redaction import redacted_text, secrets_in
from pipelines.base.sections import TrackingSettings
from pipelines.runs.folder import RunFolder
from pipelines.runs.read import RunContent, read_run_folder
from pipelines.tracking.content import (
    artifact_files,
    legal_params,
    legal_tags,
    run_note,
    run_params,
    run_tags,
)
from pipelines.tracking.database import made_whole
from pipelines.tracking.values import SeriesPoint, run_metrics, run_series
from stages.core.errors import DataError, TrackingError, first_line
from stages.core.judges import judge_of

# Without these a dead server blocks every call for minutes, a dead PostgreSQL server a connection.
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "8", "PGCONNECT_TIMEOUT": "5"}
QUIET = {"MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}
DATABASE_TRIES = 2
RUN_TAG, KIND_TAG = "rerank_eval.run_id", "rerank_eval.kind"
NOTE_TAG, PARENT_TAG = "mlflow.note.content", "mlflow.parentRunId"
# Where mlflow.load_table looks for tables.
TABLES_TAG = "mlflow.loggedArtifacts"
# Of a database: the revision that it has, in what MLflow's check says, and Alembic where an upgrade is tried unasked.
OTHER_SCHEMA = re.compile(
    r"out-of-date database schema \(found version (\w+)|Can't locate revision identified by '(\w+)'"
)
METRICS_PER_CALL, TAGS_PER_CALL = 1000, 100  # the most that MLflow takes
RUNS_PER_PAGE = 1000


def track(folder: RunFolder, tracking: TrackingSettings, parent_id: str | None = None) -> str | None:
    """Log the run, and as its children those of its several first stages; returns its MLflow id, None where off.

    `parent_id` is MLflow's id of the run that this is a part of, as of a sweep; without it an earlier one is kept.
    Raises TrackingError, which names the command that tries again, when MLflow cannot be reached or refuses.
    """
    if tracking.uri is None:
        return None
    remedy = f"The results are complete in {folder.path}. Log them later: rerank-eval sync {folder.path}"
    with opened(tracking.uri, remedy) as client:
        run_id = _log_folder(client, folder, tracking, parent_id)
        for child in folder.children():
            _log_folder(client, child, tracking, run_id, child.path.name)
    return run_id


@contextlib.contextmanager
def opened(uri: str, remedy: str = "") -> Iterator[Any]:
    """A client that gives up soon. Whatever store or network lies behind the URI: what it raises is a TrackingError."""
    for name, value in (IMPATIENT | QUIET).items():
        os.environ.setdefault(name, value)
    try:
        import mlflow
        import mlflow.store.db.utils
        from mlflow.tracking import MlflowClient

        mlflow.store.db.utils.MAX_RETRY_COUNT = DATABASE_TRIES  # with its own ten a missing database takes two minutes
        made_whole(uri, lambda new: MlflowClient(tracking_uri=new).search_experiments())
        mlflow.set_tracking_uri(uri)
        yield MlflowClient(tracking_uri=uri)
    except DataError:
        raise
    except Exception as error:
        secrets = secrets_in({"uri": uri})
        told = "".join(traceback.format_exception(error))
        logging.getLogger("mlflow").error("tracking failed\n%s", redacted_text(told, secrets))
        reason = schema_fault(str(error), redacted_text(uri))
        reason = reason or f"failed ({redacted_text(first_line(error), secrets)[:300]})."
        # No cause: its message may hold the password that was taken out of this one.
        raise TrackingError(f"MLflow at {redacted_text(uri)} {reason} {remedy}".strip()) from None


def schema_fault(told: str, uri: str) -> str | None:
    """What to do where another version of MLflow made the database, by what MLflow `told`; None where that is not why
    it failed. MLflow itself asks for an upgrade of a database that is too new for it, as well.
    """
    if (found := OTHER_SCHEMA.search(told)) is None:
        return None
    import mlflow
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    revision, here = found[1] or found[2], f"MLflow {mlflow.__version__}, which is installed here"
    try:
        if revision != "None":  # what a database has that was never upgraded
            ScriptDirectory(f"{mlflow.__path__[0]}/store/db_migrations").get_revision(revision)
    except CommandError:
        return f"has a database that a later version made than {here}: install that version, or choose another place."
    told = "URI_OF_ITS_DATABASE` where that server runs" if uri.startswith("http") else f"{uri}`"
    return f"has a database that an earlier version made than {here}. Copy it, then `mlflow db upgrade {told}."


@contextlib.contextmanager
def replacing(client: Any, experiment: str, name: str, started_ms: int, tags: Mapping[str, str]) -> Iterator[str]:
    """MLflow's id of a new run under this name, to be filled.

    Once it is complete, whatever else has the name is deleted: an earlier run, what a broken try left, a second one
    that a repeated request made. Tags that somebody else gave the earlier one go over, and its parent.
    """
    experiment_id = experiment_of(client, experiment)
    earlier = runs_named(client, [experiment_id], name)
    run_id = create_run(client, experiment_id, name, started_ms, tags)
    yield run_id
    ours = client.get_run(run_id).data.tags
    theirs = {tag: value for run in reversed(earlier) for tag, value in run.data.tags.items()}
    kept = {tag: value for tag, value in theirs.items() if tag == PARENT_TAG or not tag.startswith("mlflow.")}
    log_tags(client, run_id, {tag: value for tag, value in kept.items() if tag not in ours})
    for run in runs_named(client, [experiment_id], name):
        if run.info.run_id != run_id:
            client.delete_run(run.info.run_id)


def experiment_of(client: Any, experiment: str) -> str:
    """The experiment's id; it is made where there is none."""
    if (found := client.get_experiment_by_name(experiment)) is None:
        with contextlib.suppress(Exception):  # another job makes it at this moment
            return str(client.create_experiment(experiment))
        found = client.get_experiment_by_name(experiment)
    return str(found.experiment_id)


def create_run(client: Any, experiment_id: str, name: str, started_ms: int, tags: Mapping[str, str]) -> str:
    """A run in MLflow's state RUNNING; returns MLflow's id."""
    created = client.create_run(experiment_id, run_name=name, start_time=started_ms, tags={RUN_TAG: name, **tags})
    return str(created.info.run_id)


def runs_named(client: Any, experiment_ids: Sequence[str], name: str) -> list[Any]:
    """The MLflow runs that hold this run of ours: one, unless a try broke off."""
    quote = '"' if "'" in name else "'"
    return search(client, experiment_ids, f"tags.`{RUN_TAG}` = {quote}{name}{quote}")


def search(client: Any, experiment_ids: Sequence[str], wanted: str) -> list[Any]:
    """All runs, newest first, that MLflow's filter `wanted` lets through."""
    found: list[Any] = []
    token: str | None = ""
    while token is not None:
        newest = ["attributes.start_time DESC"]
        page = client.search_runs(
            experiment_ids, wanted, max_results=RUNS_PER_PAGE, order_by=newest, page_token=token or None
        )
        found += page
        token = page.token or None
    return found


def log_params(client: Any, run_id: str, params: Mapping[str, Any]) -> None:
    """Flat params, cut and named as MLflow takes them."""
    from mlflow.entities import Param

    for batch in _batches([Param(name, value) for name, value in legal_params(params).items()], TAGS_PER_CALL):
        client.log_batch(run_id, params=batch)


def log_tags(client: Any, run_id: str, tags: Mapping[str, str]) -> None:
    """Tags, without secrets, cut and named as MLflow takes them."""
    from mlflow.entities import RunTag

    for batch in _batches([RunTag(name, value) for name, value in legal_tags(tags).items()], TAGS_PER_CALL):
        client.log_batch(run_id, tags=batch)


def log_points(client: Any, run_id: str, points: Iterable[SeriesPoint]) -> None:
    """Values with their times and steps, under names that MLflow takes."""
    from mlflow.entities import Metric

    for batch in _batches([Metric(*point) for point in points], METRICS_PER_CALL):
        client.log_batch(run_id, metrics=batch)


def _log_folder(
    client: Any, folder: RunFolder, tracking: TrackingSettings, parent_id: str | None, child: str | None = None
) -> str:
    content = read_run_folder(folder.path)
    finished_ms = int(folder.metrics.stat().st_mtime * 1000)
    started_ms = min(_started_ms(content) or int(folder.config.stat().st_mtime * 1000), finished_ms)
    tags = {KIND_TAG: "run"} | ({PARENT_TAG: parent_id} if parent_id else {})
    with replacing(client, tracking.experiment, folder.run_id, started_ms, tags) as run_id:
        log_params(client, run_id, run_params(content))
        log_tags(client, run_id, {**tracking.tags, **run_tags(content, child), NOTE_TAG: run_note(content, child)})
        numbers = run_metrics(content.metrics, content.analysis)
        log_points(client, run_id, [SeriesPoint(name, value, finished_ms, 0) for name, value in numbers.items()])
        log_points(
            client,
            run_id,
            run_series(folder, content.analysis, finished_ms, by_model=judge_of(content.metrics) is not None),
        )
        _log_candidates(client, run_id, content)
        _log_artifacts(client, run_id, folder)
        client.set_terminated(run_id, end_time=finished_ms)
    return run_id


def _started_ms(content: RunContent) -> int | None:
    started = content.started
    return None if started is None else int(started.timestamp() * 1000)


def _log_artifacts(client: Any, run_id: str, folder: RunFolder) -> None:
    """Copy the files, and tell mlflow.load_table and people (tag `per_query_table`) which of them is a table.

    It is Parquet: of a table in JSON MLflow reads the ids 007 and 7 as one number, and loses digits of long ones.
    """
    with tempfile.TemporaryDirectory() as scratch:
        for file in artifact_files(folder, Path(scratch)):
            client.log_artifact(run_id, str(file))
    if folder.per_query.exists():
        name = folder.per_query.name
        log_tags(client, run_id, {TABLES_TAG: json.dumps([{"path": name, "type": "table"}]), "per_query_table": name})


def _log_candidates(client: Any, run_id: str, content: RunContent) -> None:
    """The candidates as dataset input, with our digest: MLflow's own covers neither lists nor all rows."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    coverage, digest = content.metrics["coverage"], content.metrics["candidates_digest"]
    entity = Dataset(
        name=content.environment["dataset"],
        digest=digest[:36],
        source_type="rerank-eval",
        source=json.dumps({"candidates_digest": digest}),
        profile=json.dumps({"queries": coverage["queries"], "pairs": coverage["pairs"]}),
    )
    client.log_inputs(run_id, datasets=[DatasetInput(entity, [InputTag("mlflow.data.context", "candidates")])])


def _batches(items: list[Any], size: int) -> Iterable[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
