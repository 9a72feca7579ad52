"""The config.yaml of a finished run, of this version or an earlier one. It is a record: a key that today's version does
not know any more stays in it and refuses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.base.config import CONFIG_VERSION, VERSION_KEY
from pipelines.base.sections import TrackingSettings
from pipelines.base.versions import check_version, of_today
from pipelines.base.yaml_text import read_yaml
from stages.core.errors import DataError, first_line


def read_config(path: Path) -> dict[str, Any]:
    """Its sections, keys under their names of today. Raises DataError for one of a later version, ConfigError where it
    is no YAML.
    """
    content = read_yaml(path, "config")
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no sections of a config. Run the job again.")
    return of_today(content, check_version(content.get(VERSION_KEY, 1), CONFIG_VERSION, str(path)))


def section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A section of what `read_config` gave; empty where there is none."""
    found = config.get(name)
    return found if isinstance(found, Mapping) else {}


def tracking_of(config: Mapping[str, Any], uri: str | None = None) -> TrackingSettings:
    """Where the run was to be logged, or `uri`; without keys that today's version does not know. Raises DataError."""
    told = {name: value for name, value in section(config, "tracking").items() if name in TrackingSettings.model_fields}
    try:
        return TrackingSettings.model_validate(told | ({"uri": uri} if uri else {}))
    except ValidationError as error:
        raise DataError(f"the run's config: its section tracking cannot be used ({first_line(error)})") from error


def stages_of(config: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The stages of a cascade's config; none of one model's."""
    found = section(config, "rerank").get("stages") or ()
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list | tuple) else ()
