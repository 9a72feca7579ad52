"""Which settings a service runs with, as far as that is known; and a config with a diagnosis's advice in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from pipelines.base.config import ServeConfig, load, read_sections
from pipelines.base.config_file import ConfigFile
from pipelines.base.flatten import flatten
from pipelines.base.overrides import set_key
from pipelines.base.redaction import write_config
from stages.core.errors import ConfigError
from stages.diagnosis.finding import Advice
from stages.diagnosis.requests import as_yaml

# What GET /v1/models tells -> the config's key for it.
TOLD = {"replicas": "serve.replicas", "max_model_len": "model.max_length", "dtype": "engine.dtype"}


def known_settings(config: ServeConfig | None, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Key of the config, as `engine.compile`, -> value. What the service says of itself overrides the config."""
    known: dict[str, Any] = {}
    if config is not None:
        for section in ("model", "engine", "serve"):
            known |= dict(flatten(getattr(config, section).model_dump(mode="json"), f"{section}."))
    return known | {key: facts[name] for name, key in TOLD.items() if facts.get(name) is not None}


def apply_advice(advice: Advice, config: Path) -> Path:
    """Write a copy of the config with the advised setting, `NAME.diagnosed.yaml`; returns where: `ConfigFile.sibling`.

    Comments are not copied; the config itself stays as it is. Raises ConfigError where the advice is no setting, or
    the copy would not be a valid config.
    """
    if advice.setting is None or advice.value is None:
        raise ConfigError(f"--apply-to {config}: the advice is no value of a setting: {advice.action}")
    load(ServeConfig, config)  # says what is wrong with it, if anything is
    content = read_sections(config)
    set_key(content, f"{advice.setting}={as_yaml(advice.value)}")
    file = ConfigFile.find(config)
    copy = file.sibling(f"diagnosed{file.path.suffix}")
    head = f"# {config.name}, with one change: {advice.setting}. Expect: {advice.effect}.\n"
    try:
        write_config(copy, head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True), content)
    except OSError as error:
        raise ConfigError(f"--apply-to {config}: cannot write {copy} ({error.strerror})") from error
    load(ServeConfig, copy)
    return copy
