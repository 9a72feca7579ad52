"""A finished run's folder -> what its files say. All who read metrics.json read it here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.base.redaction import redacted, secrets_in
from pipelines.base.versions import check_version
from pipelines.runs.config import read_config
from pipelines.runs.folder import FIELD, RunFolder
from stages.core.errors import ConfigError, DataError, first_line
from stages.core.metrics import SCHEMA_VERSION, Metrics
from stages.core.records import QueryMetrics
from stages.core.words import key_name, written_name


@dataclass(frozen=True, slots=True)
class RunContent:
    """What the files of a finished run say.

    `environment` and `analysis` are empty where those files are missing; `first_stage` has no values where there was
    no single one. `config` is as it was given, secrets too: what is shown or sent on is `redacted_config`.
    """

    folder: RunFolder
    metrics: Metrics
    config: Mapping[str, Any]
    first_stage: QueryMetrics
    reranked: QueryMetrics
    environment: Mapping[str, Any] = field(default_factory=dict)
    analysis: Mapping[str, Any] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        return self.metrics["run_id"]

    @property
    def started(self) -> datetime | None:
        """When it began, in UTC; None for a run of 0.1, which did not tell."""
        return moment(self.metrics.get("started"))

    @property
    def redacted_config(self) -> dict[str, Any]:
        return redacted(dict(self.config))

    @property
    def redacted_environment(self) -> dict[str, Any]:
        return redacted(dict(self.environment))

    @property
    def secrets(self) -> set[str]:
        """The values that `redacted_config` masks."""
        return secrets_in(self.config)


def moment(text: str | None) -> datetime | None:
    """A time in ISO 8601 with its zone, in UTC; None where that cannot be said of the text."""
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else None


def read_run_folder(path: Path) -> RunContent:
    """Raises DataError where the folder is not one of a finished run."""
    folder = RunFolder(path.resolve())
    for needed in (folder.metrics, folder.config):
        if not needed.is_file():
            raise DataError(f"{path} is not the folder of a finished run: {needed.name} is missing. Run the job again.")
    metrics = read_metrics(folder)
    try:
        first_stage, reranked = read_per_query(folder.per_query)
        return RunContent(
            folder=folder,
            metrics=metrics,
            config=read_config(folder.config),
            first_stage=first_stage,
            reranked=reranked,
            environment=_json_if_there(folder.environment),
            analysis=_read_analysis(folder.analysis),
        )
    except (OSError, ValueError, KeyError, ConfigError) as error:
        raise DataError(f"{path}: cannot be read ({first_line(error)}). Run the job again.") from error


def read_metrics(folder: RunFolder) -> Metrics:
    """metrics.json. Raises DataError where it is missing or not a run's."""
    try:
        content = json.loads(folder.metrics.read_text(encoding="utf-8"))
        needed = Metrics.__required_keys__
        if not isinstance(content, dict) or not content.keys() >= needed:
            raise ValueError(f"metrics.json has not the keys {', '.join(sorted(needed))}")
        check_version(content.get("schema_version", 1), SCHEMA_VERSION, str(folder.metrics))
    except (OSError, ValueError) as error:
        raise DataError(f"{folder.path}: cannot be read ({first_line(error)}). Run the job again.") from error
    return cast("Metrics", content)


def main_test(analysis: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """How the main metric changed, against the first stage or the fusion of several, with its sentence in `words`; None
    where nothing was tested.
    """
    of_several = analysis.get("first_stages") or {}
    tested: Mapping[str, Mapping[str, Any]] = analysis.get("significance") or of_several.get("significance") or {}
    main = next(iter(analysis.get("metrics") or tested), None)
    return tested.get(main) if main else None


def verdict(analysis: Mapping[str, Any]) -> str | None:
    """The main metric's sentence on the change, and what must be known of the data to read it; None where nothing was
    tested.
    """
    told = verdict_words(analysis)
    return ". Mind: ".join([*told, *(analysis.get("remarks") or ())]) if told else None


def verdict_words(analysis: Mapping[str, Any]) -> list[str]:
    """Of the main metric: the sentence on its change, and where a model judged those on what must be known of that.
    Nothing where nothing was tested.
    """
    if (inferred := main_inference(analysis)) is not None:
        return list(inferred["words"])
    tested = main_test(analysis)
    return [tested["words"]] if tested else []


def main_inference(analysis: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What people's grades, and a model's, say of the main metric's change; None where no model judged."""
    inferred: Mapping[str, Mapping[str, Any]] = analysis.get("inference") or {}
    return inferred.get(next(iter(analysis.get("metrics") or inferred), ""))


def read_per_query(path: Path) -> tuple[QueryMetrics, QueryMetrics]:
    """The first stage's values and the reranked ones, from a per_query.parquet. Empty where there is no such file."""
    if not path.is_file():
        return QueryMetrics((), {}, ()), QueryMetrics((), {}, ())
    columns = per_query_table(path).to_pydict()
    query_ids, answered = tuple(columns.pop("query_id")), tuple(columns.pop("answered", ()))
    first_stage, reranked = (
        {
            written_name(name.removeprefix(side)): tuple(values)
            for name, values in columns.items()
            if name.startswith(side)
        }
        for side in ("first_stage/", "reranked/")
    )
    # The first stage's own answers are not in the table; what compares values does not ask.
    return QueryMetrics(query_ids, first_stage, answered), QueryMetrics(query_ids, reranked, answered)


def per_query_table(path: Path) -> pa.Table:
    """A per_query.parquet under the names of today: 0.1.0 wrote `delta/ndcg@10` for `delta/ndcg_at_10`."""
    table = pq.read_table(path, partitioning=None)
    return table.rename_columns([name if name.startswith(FIELD) else key_name(name) for name in table.column_names])


def read_fields(folder: RunFolder, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """Field of the queries (`language`) -> query id -> value, for each of `names`; empty where the run tells of none.

    A run keeps those that its gate slices by beside the queries' values; any others are with its candidates.
    """
    found: dict[str, dict[str, str]] = {name: {} for name in names}
    kept = pq.read_schema(folder.per_query).names if folder.per_query.is_file() else []
    for name in found.keys() & {column.removeprefix(FIELD) for column in kept if column.startswith(FIELD)}:
        rows = pq.read_table(folder.per_query, columns=["query_id", FIELD + name], partitioning=None).to_pylist()
        found[name] = {row["query_id"]: row[FIELD + name] for row in rows if row[FIELD + name] is not None}
    missing = [name for name, of_query in found.items() if not of_query]
    for file in sorted(folder.texts.glob("part-*.parquet")) if missing else ():
        for row in pq.read_table(file, columns=["query_id", "attributes"], partitioning=None).to_pylist():
            attributes = dict(row["attributes"])
            for name in missing:
                if name in attributes:
                    found[name][row["query_id"]] = attributes[name]
    return found


def _read_analysis(path: Path) -> dict[str, Any]:
    """In the keys of today: of the two intervals of version 1 `percentile` was the one that was told."""
    analysis = _json_if_there(path)
    if check_version(analysis.get("schema_version", 1), SCHEMA_VERSION, str(path)) == 1:
        for tested in (analysis.get("significance") or {}).values():
            tested["interval"] = tested.pop("percentile", None)
            tested.pop("bca", None)
    return analysis


def _json_if_there(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content
