"""A run folder -> an MLflow run. Reads the folder alone, so it may be repeated; the only place that imports MLflow.

Local first: when this is called everything is on disk. A run is found again by its tag `rerank_eval.run_id`, and
logging it a second time replaces what the first try left.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from pipelines.config import TrackingSettings
from pipelines.run_folder import RunFolder
from stages.errors import TrackingError

# Without these a dead server blocks every call for minutes.
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "8"}
RUN_TAG = "rerank_eval.run_id"
LONGEST_PARAM = 6000
BATCH = 1000  # metrics per call: the most that MLflow takes
SERIES = {
    "pairs_per_s": "throughput/pairs_per_s_over_time",
    "prompt_tokens_per_s": "throughput/prompt_tokens_per_s_over_time",
    "running": "queue/running_over_time",
    "waiting": "queue/waiting_over_time",
    "queue_p95_ms": "queue/time_ms_p95_over_time",
    "prefix_hit_rate": "cache/prefix_hit_rate_over_time",
    "kv_usage": "cache/kv_usage_over_time",
}


def track(folder: RunFolder, tracking: TrackingSettings) -> str | None:
    """Log the run, and as its children those of its several first stages; returns its MLflow id, None where off.

    Raises TrackingError, which names the command that tries again, when MLflow cannot be reached or refuses.
    """
    if tracking.uri is None:
        return None
    for name, value in IMPATIENT.items():
        os.environ.setdefault(name, value)
    try:
        run_id = _log(folder, tracking, tracking.uri)
        for child in folder.children():
            _log(child, tracking, tracking.uri, parent_id=run_id)
    except Exception as error:  # whatever store or network lies behind the URI: no failure of it may cost the results
        logging.getLogger("mlflow").exception("tracking failed")
        raise TrackingError(
            f"MLflow at {tracking.uri} failed ({_first_line(error)}). The results are complete in {folder.path}. "
            f"Log them later: rerank-eval sync {folder.path}"
        ) from error
    return run_id


def _log(folder: RunFolder, tracking: TrackingSettings, uri: str, parent_id: str | None = None) -> str:
    import mlflow
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.tracking import MlflowClient
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    metrics = json.loads(folder.metrics.read_text(encoding="utf-8"))
    environment = json.loads(folder.environment.read_text(encoding="utf-8"))
    config = yaml.safe_load(folder.config.read_text(encoding="utf-8"))
    mlflow.set_tracking_uri(uri)
    client = MlflowClient(tracking_uri=uri)
    finished_ms = int(folder.metrics.stat().st_mtime * 1000)
    started_ms = int(folder.config.stat().st_mtime * 1000)
    run_id = _run_of(client, folder.run_id, tracking.experiment, min(started_ms, finished_ms))
    tags = {**tracking.tags, **run_tags(metrics, environment)}
    tags |= {MLFLOW_PARENT_RUN_ID: parent_id, "first_stage": folder.path.name} if parent_id else {}
    params = run_params(config, environment)
    client.log_batch(
        run_id,
        params=[Param(name, value) for name, value in params.items()],
        tags=[RunTag(name, value) for name, value in tags.items()],
    )
    values = [Metric(name, value, finished_ms, 0) for name, value in run_metrics(metrics).items()]
    if folder.timeline.exists():
        values += [Metric(*point) for point in series(folder.timeline, finished_ms)]
    for batch in _batches(values, BATCH):
        client.log_batch(run_id, metrics=batch)
    _log_candidates(client, run_id, environment["dataset"], metrics)
    for artifact in artifacts(folder):
        client.log_artifact(run_id, str(artifact))
    client.set_terminated(run_id, end_time=finished_ms)
    return run_id


def _run_of(client: Any, run_id: str, experiment: str, started_ms: int) -> str:
    """A new MLflow run under the folder's name, in place of one that an earlier try left."""
    found = client.get_experiment_by_name(experiment)
    experiment_id = found.experiment_id if found else client.create_experiment(experiment)
    for earlier in client.search_runs([experiment_id], filter_string=f"tags.`{RUN_TAG}` = '{run_id}'"):
        client.delete_run(earlier.info.run_id)
    created: str = client.create_run(
        experiment_id, run_name=run_id, start_time=started_ms, tags={RUN_TAG: run_id}
    ).info.run_id
    return created


def run_params(config: dict[str, Any], environment: dict[str, Any]) -> dict[str, str]:
    """The flattened config, versions and hardware, as MLflow takes them: strings of at most 6,000 characters."""
    flat = dict(_flatten(config)) | dict(_flatten({"version": environment["packages"]}))
    flat |= dict(_flatten({"hardware": environment["hardware"]}))
    return {name: str(value)[:LONGEST_PARAM] for name, value in flat.items()}


def run_tags(metrics: dict[str, Any], environment: dict[str, Any]) -> dict[str, str]:
    """What runs are filtered by."""
    return {
        "model": metrics["model"]["name"],
        "family": metrics["model"]["family"],
        "dataset": environment["dataset"],
        "git_commit": environment["git_commit"] or "none",
        "config_digest": metrics["config_digest"],
        "candidates_digest": metrics["candidates_digest"],
    }


def run_metrics(metrics: dict[str, Any]) -> dict[str, float]:
    """metrics.json under MLflow's names: the reranked quality bare (`ndcg_at_10`), all else under its section.

    Values that do not apply are left out.
    """
    quality = metrics["quality"]
    named = dict(quality["reranked"] or {})
    named |= {f"first_stage/{name}": value for name, value in (quality["first_stage"] or {}).items()}
    named |= {f"delta/{name}": value for name, value in (quality["delta"] or {}).items()}
    for section in ("coverage", "scores", "throughput", "queue", "cache", "tokens"):
        named |= dict(_flatten(metrics[section], f"{section}/", "_"))
    return {name: float(value) for name, value in named.items() if value is not None}


def series(timeline: Path, finished_ms: int) -> Iterator[tuple[str, float, int, int]]:
    """(name, value, time in ms, step) of each point of the timeline; the step is the elapsed second."""
    rows = pq.read_table(timeline).to_pylist()
    length_s = rows[-1]["elapsed_s"] if rows else 0.0
    for row in rows:
        moment_ms = finished_ms - int((length_s - row["elapsed_s"]) * 1000)
        for column, name in SERIES.items():
            if row[column] is not None:
                yield name, float(row[column]), moment_ms, round(row["elapsed_s"])


def artifacts(folder: RunFolder) -> list[Path]:
    """What is copied to MLflow: everything a reader wants, not the texts of the candidates."""
    wanted = (folder.config, folder.metrics, folder.environment, folder.per_query, folder.timeline, folder.failures)
    return [path for path in (*wanted, folder.trec_run, folder.rankings) if path.exists()]


def _log_candidates(client: Any, run_id: str, dataset: str, metrics: dict[str, Any]) -> None:
    """The candidates as dataset input, with our digest: MLflow's own covers neither lists nor all rows."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    profile = {"queries": metrics["coverage"]["queries"], "pairs": metrics["coverage"]["pairs"]}
    entity = Dataset(
        name=dataset,
        digest=metrics["candidates_digest"][:36],
        source_type="rerank-eval",
        source=json.dumps({"candidates_digest": metrics["candidates_digest"]}),
        profile=json.dumps(profile),
    )
    client.log_inputs(run_id, datasets=[DatasetInput(entity, [InputTag("mlflow.data.context", "candidates")])])


def _flatten(content: dict[str, Any], prefix: str = "", joint: str = ".") -> Iterator[tuple[str, Any]]:
    for name, value in content.items():
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{prefix}{name}{joint}", joint)
        else:
            yield f"{prefix}{name}", value


def _batches(items: list[Any], size: int) -> Iterable[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
