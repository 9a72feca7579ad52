"""A grid over config keys -> its points: every combination of the values, each with its whole, valid config."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipelines.base.config import RunConfig, load_config
from pipelines.base.redaction import redacted, redacted_text
from pipelines.base.yaml_text import parse_yaml
from stages.core.errors import ConfigError

MAX_POINTS = 100


@dataclass(frozen=True, slots=True)
class GridPoint:
    """One run of a sweep. `values` are those of the swept keys; `config` is what --set and they make of the file."""

    values: Mapping[str, Any]
    config: RunConfig

    @property
    def name(self) -> str:
        """For people; without secrets."""
        return label(redacted(self.values))


def parse_grid(options: Sequence[str]) -> dict[str, list[Any]]:
    """`section.key=[value, ...]` each, the list in YAML -> key -> values. Raises ConfigError."""
    grid: dict[str, list[Any]] = {}
    for option in options:
        key, _, text = (part.strip() for part in option.partition("="))
        values = parse_yaml(text, f"--grid {redacted_text(option)}")
        if "." not in key or not isinstance(values, list) or not values:
            raise ConfigError(f"--grid {option}: write section.key=[value, ...], as in --grid 'data.depth=[10, 20]'")
        if key in grid:
            raise ConfigError(f"--grid {key} is given twice: put all its values in one list")
        grid[key] = values
    if not grid:
        raise ConfigError("a sweep needs a grid: give at least one --grid, as in --grid 'data.depth=[10, 20]'")
    return grid


def grid_points(
    path: Path, overrides: Sequence[str], grid: Mapping[str, Sequence[Any]], max_points: int = MAX_POINTS
) -> list[GridPoint]:
    """All points, the last key varying fastest.

    Raises ConfigError where one of them is no valid config, where two are the same, or where there are too many.
    """
    count = math.prod(map(len, grid.values()))
    if count > max_points:
        raise ConfigError(
            f"the grid has {count:,} points, more than {max_points:,}: allow them with --max-points {count}"
        )
    points: dict[str, GridPoint] = {}
    _refuse_set(grid, overrides)
    for combination in itertools.product(*grid.values()):
        values = dict(zip(grid, combination, strict=True))
        changed = [*overrides, *(as_override(key, value) for key, value in values.items())]
        config = load_config(path, changed, cascade=True)
        point = GridPoint(values, config)
        if twin := points.get(config.digest):
            raise ConfigError(
                f"the grid has a point twice: {point.name} gives the same results as {twin.name}. Leave one out"
            )
        points[config.digest] = point
    return list(points.values())


def _refuse_set(grid: Mapping[str, Sequence[Any]], overrides: Sequence[str]) -> None:
    for override in overrides:
        key = override.partition("=")[0].strip()
        for swept in grid:
            if f"{swept}.".startswith(f"{key}.") or f"{key}.".startswith(f"{swept}."):
                raise ConfigError(f"--grid {swept} and --set {key} are about the same key: leave one out")


def in_order(points: Sequence[GridPoint]) -> list[GridPoint]:
    """In the order to run them: those with the same engine together, in it the deepest first.

    A lesser depth over the same candidates then finds all its scores in the store, and starts no engine.
    """
    return [point for group in by_engine(points) for point in sorted(group, key=_depths, reverse=True)]


def by_engine(points: Sequence[GridPoint]) -> list[list[GridPoint]]:
    """The points that one engine serves, in the order in which these are first met."""
    groups: dict[str, list[GridPoint]] = {}
    for point in points:
        groups.setdefault(engines_of(point.config), []).append(point)
    return list(groups.values())


def engines_of(config: RunConfig) -> str:
    """The settings of the engine, or of those of a cascade's stages, as one text."""
    return "\n".join(one.model_dump_json(include={"model", "engine", "serve"}) for one in config.stages())


def _depths(point: GridPoint) -> list[float]:
    return [one.data.depth or math.inf for one in point.config.stages()]


def as_override(key: str, value: Any) -> str:
    """As --set takes it; what would read as something else is quoted."""
    listed = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, width=math.inf)
    return f"{key}={listed.strip()[1:-1]}"


def label(values: Mapping[str, Any]) -> str:
    """`depth=10, instruction=Find the answer`: the keys without their section, unless two would read the same."""
    short = [key.rpartition(".")[2] for key in values]
    names = short if len(set(short)) == len(short) else list(values)
    return ", ".join(f"{name}={shown(value)}" for name, value in zip(names, values.values(), strict=True))


def shown(value: Any) -> str:
    """A value as people read it: texts bare, the rest as YAML writes it on one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
