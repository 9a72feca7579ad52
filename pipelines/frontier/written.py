"""A point -> the run config that a job runs it with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.base.config import VERSION_KEY, RunConfig, validated
from pipelines.base.redaction import hidden_in, write_config
from pipelines.runs.config import section
from pipelines.runs.read import RunContent
from stages.core.errors import ConfigError
from stages.frontier.points import Point

# What a stage of a cascade has of its own.
OF_STAGE = ("model", "engine", "serve", "hosted", "cost")
# Of its section serve what all stages share.
SHARED = ("http", "ray_address")


def config_of(point: Point, runs: Sequence[RunContent]) -> RunConfig:
    """The config of the point's first run, at its depth, or with the stages of the cascade.

    Raises ConfigError where no config can hold the point, or where the run's own has lost a secret.
    """
    if not point.steps:
        raise ConfigError(f"--point {point.name}: the first stage as it is reranks nothing; there is no config for it")
    if point.skipped is not None:
        raise ConfigError(
            f"--point {point.name}: no config can hold it: a job reranks every query, whatever its margin. Skip "
            "queries where you call the reranker: those whose first score less the third is above "
            f"{point.above:.6g}; or write {Point(point.steps).name}"
        )
    first = runs[point.steps[0].reranker]
    content = {name: value for name, value in first.config.items() if name != VERSION_KEY}
    content["data"] = dict(section(first.config, "data")) | {"depth": point.steps[0].depth}
    if len(point.steps) > 1:
        for name in OF_STAGE:
            content.pop(name, None)
        content["serve"] = {name: value for name, value in section(first.config, "serve").items() if name in SHARED}
        stages = [{"depth": step.depth} | _of_stage(runs[step.reranker].config) for step in point.steps]
        content["rerank"] = dict(section(first.config, "rerank")) | {"stages": stages}
    if hidden := hidden_in(content):
        raise ConfigError(f"--write: {', '.join(hidden)}: *** stands in place of a secret in {first.run_id}'s config")
    return validated(RunConfig, content, f"--point {point.name}")


def write_point(point: Point, runs: Sequence[RunContent], file: Path) -> None:
    """Raises ConfigError as `config_of`, and where the file cannot be written."""
    config = config_of(point, runs)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_config(file, config.to_yaml(), config.model_dump(mode="json"))
    except OSError as error:
        raise ConfigError(f"--write {file}: cannot be written ({error.strerror})") from error


def _of_stage(config: Mapping[str, Any]) -> dict[str, Any]:
    own = {name: dict(section(config, name)) for name in OF_STAGE if section(config, name)}
    if "serve" in own:
        own["serve"] = {name: value for name, value in own["serve"].items() if name not in SHARED}
    return own
