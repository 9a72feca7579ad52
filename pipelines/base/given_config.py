"""A run config as Python gives it: a file, its content or itself, with some keys changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.base.cascade import merged
from pipelines.base.config import CONFIG_VERSION, VERSION_KEY, RunConfig, load_config, refuse_hidden, taken, validated
from pipelines.base.versions import check_version, of_today
from stages.core.errors import ConfigError


def config_with(
    given: RunConfig | Mapping[str, Any] | str | Path,
    sections: Mapping[str, Mapping[str, Any]],
    *,
    cascade: bool = False,
) -> RunConfig:
    """With the keys that `sections` change, however deep they lie. Raises as `load`."""
    if isinstance(given, str | Path):
        given, name = load_config(Path(given), cascade=True), f"config {given}"
    else:
        name = "config"
    if not isinstance(given, RunConfig | Mapping):
        raise ConfigError(f"config: give a file, a RunConfig or a dict of sections, not {type(given).__name__}")
    content = given.model_dump() if isinstance(given, RunConfig) else dict(given)
    content = of_today(content, check_version(content.pop(VERSION_KEY, 1), CONFIG_VERSION, name))
    changed = merged(content, sections)
    refuse_hidden(changed, name)
    return taken(validated(RunConfig, changed, name), name, cascade=cascade)
