"""One YAML file per run: read strictly, overridden with --set, written back in full."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml
from pydantic import BaseModel, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from pipelines.base.answers import check_answers
from pipelines.base.config_file import ConfigFile
from pipelines.base.limits import metric_of, place_of, places
from pipelines.base.redaction import hidden_in, redacted, redacted_text
from pipelines.base.sections import (
    AnswersSettings,
    CostSettings,
    EvaluateSettings,
    GateSettings,
    HostedSettings,
    OutputSettings,
    RerankSettings,
    TrackingSettings,
)
from pipelines.base.versions import check_version, of_today
from pipelines.base.yaml_text import parse_yaml, read_yaml
from serve_app.base_settings import Settings
from serve_app.settings import DeploymentSettings, EngineSettings, ModelSettings
from stages.core.errors import ConfigError
from stages.core.words import did_you_mean
from stages.sources import DataSettings

CONFIG_VERSION = 1
"""Of the keys of a config. A file that does not say, as people write them, has the keys of version 1."""
VERSION_KEY = "schema_version"


class RunConfig(Settings):
    """All sections of a run config."""

    data: DataSettings
    model: ModelSettings = ModelSettings()
    engine: EngineSettings = EngineSettings()
    serve: DeploymentSettings = DeploymentSettings()
    hosted: HostedSettings = HostedSettings()
    rerank: RerankSettings = RerankSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    answers: AnswersSettings = AnswersSettings()
    gate: GateSettings = GateSettings()
    cost: CostSettings = CostSettings()
    tracking: TrackingSettings = TrackingSettings()
    output: OutputSettings = OutputSettings()

    @field_validator("gate", mode="before")
    @classmethod
    def _asks_something(cls, gate: Any) -> Any:
        """Whoever writes the section wants a gate, and an empty one would pass whatever comes."""
        if not gate:
            raise ValueError("asks nothing: give max_drop, max_drift, max, min or slices, or remove the section")
        return gate

    @model_validator(mode="after")
    def _gates_what_is_measured(self) -> Self:
        """A rule that names nothing is found here, not at the end of the night."""
        metrics = self.evaluate.metrics
        known = places(metrics)
        try:
            for rule in ("max_drop", "max_drift", "slice_max_drop"):
                for name in getattr(self.gate, rule):
                    metric_of(name, metrics, f"gate.{rule}")
            for name in (*self.gate.max, *self.gate.min):
                place_of(name, known)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _asks_somebody(self) -> Self:
        """A budget that limits nothing would be taken for one that does."""
        if self.model.api is None and self.hosted != HostedSettings():
            raise ValueError("hosted: is about a hosted model. Set model.api, or remove the section")
        return self

    @model_validator(mode="after")
    def _judges_by_answers(self) -> Self:
        check_answers(self.data, self.answers, self.evaluate.metrics)
        return self

    @property
    def digest(self) -> str:
        """16 hex digits that differ where the results could: all but price, pace and judge, and where they lie."""
        content = self.model_dump(mode="json", exclude={"gate", "hosted", "cost", "tracking", "output"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def to_yaml(self) -> str:
        """The resolved config, every default spelled out."""
        content = {VERSION_KEY: CONFIG_VERSION} | self.model_dump(mode="json")
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


class ServeConfig(Settings):
    """What the service needs of a run config; the other sections may be there, and are not looked at."""

    data: Any = None
    model: ModelSettings = ModelSettings()
    engine: EngineSettings = EngineSettings()
    serve: DeploymentSettings = DeploymentSettings()
    hosted: Any = None
    rerank: Any = None
    evaluate: Any = None
    answers: Any = None
    gate: Any = None
    cost: Any = None
    tracking: Any = None
    output: Any = None


Config = TypeVar("Config", RunConfig, ServeConfig)


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """A run config. Raises as `load`."""
    return load(RunConfig, path, overrides)


def load(kind: type[Config], path: Path, overrides: Sequence[str] = ()) -> Config:
    """Read and validate a config: a file, or a bundled one by its name. `overrides` are `section.key=value`, the value
    in YAML. That of a finished run, which is not run again, is read by `pipelines.runs.config`.

    Raises ConfigError that names the file, the key and the remedy.
    """
    content = read_sections(path)
    set_keys(content, overrides)
    read = [name for name, field in kind.model_fields.items() if field.annotation is not Any]
    _refuse_hidden({name: content[name] for name in read if name in content}, f"config {path}")
    return validated(kind, content, f"config {path}")


def config_with(
    given: RunConfig | Mapping[str, Any] | str | Path, sections: Mapping[str, Mapping[str, Any]]
) -> RunConfig:
    """A run config from a file, its content or itself, with the keys that `sections` change, however deep they lie.

    Raises as `load`.
    """
    if isinstance(given, str | Path):
        given, name = load_config(Path(given)), f"config {given}"
    else:
        name = "config"
    if not isinstance(given, RunConfig | Mapping):
        raise ConfigError(f"config: give a file, a RunConfig or a dict of sections, not {type(given).__name__}")
    content = given.model_dump() if isinstance(given, RunConfig) else dict(given)
    content = of_today(content, check_version(content.pop(VERSION_KEY, 1), CONFIG_VERSION, name))
    merged = _merged(content, sections)
    _refuse_hidden(merged, name)
    return validated(RunConfig, merged, name)


def _merged(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy with the changes; mappings are merged key by key, everything else is replaced."""
    merged = dict(content)
    for name, value in changes.items():
        before = merged.get(name)
        both = isinstance(value, Mapping) and isinstance(before, Mapping)
        merged[name] = _merged(before or {}, value) if both else value
    return merged


def _refuse_hidden(content: Mapping[str, Any], name: str) -> None:
    if hidden := hidden_in(content):
        raise ConfigError(
            f"{name}: {', '.join(hidden)}: *** stands in place of a secret, as in each copy of a run's config. Write "
            "the secret, or leave the key out"
        )


def validated(kind: type[Config], content: Mapping[str, Any], name: str) -> Config:
    """The config of these sections. Raises ConfigError, which begins with `name`."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise ConfigError(f"{name}: " + "; ".join(map(_explain, error.errors()))) from error


def read_sections(path: Path) -> dict[str, Any]:
    """A config's sections as they are written; paths of a bundled one lead to what came with it.

    Raises ConfigError where it cannot be read, or has no sections.
    """
    file = ConfigFile.find(path)
    content = read_yaml(file.path, "config", file.remedy)
    if not isinstance(content, dict):
        raise ConfigError(
            f"config {path}: expected sections ({', '.join(RunConfig.model_fields)}), found {content!r:.60}"
        )
    content = of_today(content, check_version(content.pop(VERSION_KEY, 1), CONFIG_VERSION, f"config {path}"))
    sections = {name: {} if section is None else section for name, section in content.items()}  # `model:` alone
    return sections | ({"data": file.placed(sections["data"])} if "data" in sections else {})


def set_keys(content: dict[str, Any], overrides: Sequence[str]) -> None:
    """`set_key` for each, in any order. Raises ConfigError where two disagree, or where one key lies in another."""
    known: dict[tuple[str, ...], Any] = {}
    for override in overrides:
        set_key(content, override)
        names, value = _key_and_value(override)
        for other, given in known.items():
            shorter = min(len(names), len(other))
            if names[:shorter] == other[:shorter] and (names, repr(value)) != (other, repr(given)):
                keys = " and ".join(dict.fromkeys((".".join(other), ".".join(names))))
                raise ConfigError(
                    f"--set {keys}: set twice, each time otherwise (by --set, or an option that stands for it); "
                    "keep one of them"
                )
        known[names] = value


def set_key(content: dict[str, Any], override: str) -> None:
    """Apply one `section.key=value` to the content of a config. Raises ConfigError where it is written otherwise."""
    names, value = _key_and_value(override)
    target = content
    for name in names[:-1]:
        if target.get(name) is None:
            target[name] = {}
        target = target[name]
        if not isinstance(target, dict):
            raise ConfigError(f"--set {redacted_text(override)}: {name} holds a value, not keys")
    target[names[-1]] = value


def _key_and_value(override: str) -> tuple[tuple[str, ...], Any]:
    key, equals, value = override.partition("=")
    names, told = tuple(key.strip().split(".")), f"--set {redacted_text(override)}"
    if not equals or not all(names) or len(names) < 2:
        raise ConfigError(f"{told}: write section.key=value, as in --set data.depth=50")
    return names, parse_yaml(value, told)


def _explain(error: ErrorDetails) -> str:
    """One pydantic error in the words of the config: where, what, and what would be right."""
    place = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"unknown key {place}{_nearest(error['loc'])}"
    if error["type"] == "missing":
        return f"{place} is missing"
    message = error["msg"].removeprefix("Value error, ")
    if not place:  # of the config as a whole
        return message
    if error["type"] in ("value_error", "assertion_error"):
        return f"{place}: {message}"
    (given,) = redacted({str(error["loc"][-1]) if error["loc"] else "": error["input"]}).values()
    return f"{place}: {message}, not {given!r:.80}"


def _nearest(location: tuple[int | str, ...]) -> str:
    """The known keys beside an unknown one, the nearest first."""
    fields = RunConfig.model_fields
    for part in location[:-1]:
        section = fields[str(part)].annotation if str(part) in fields else None
        if not isinstance(section, type) or not issubclass(section, BaseModel):
            return ""
        fields = section.model_fields
    return did_you_mean(str(location[-1]), fields)
