"""One YAML file per run: read strictly, overridden with --set, written back in full."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import yaml
from pydantic import (
    ConfigDict,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from pipelines.base.answers import check_answers
from pipelines.base.cascade import INHERITED, StageSettings, above_stages, check_stages, resolved
from pipelines.base.config_errors import explained
from pipelines.base.config_file import ConfigFile
from pipelines.base.limits import metric_of, place_of, places
from pipelines.base.overrides import set_keys
from pipelines.base.paid_sections import CostSettings, HostedSettings
from pipelines.base.redaction import hidden_in
from pipelines.base.sections import (
    AnswersSettings,
    EvaluateSettings,
    GateSettings,
    OutputSettings,
    RerankSettings,
    TrackingSettings,
)
from pipelines.base.versions import check_version, of_today
from pipelines.base.yaml_text import read_yaml
from serve_app.base_settings import Settings
from serve_app.settings import DeploymentSettings, EngineSettings, ModelSettings
from stages.core.errors import ConfigError
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

    @model_validator(mode="before")
    @classmethod
    def _stages_are_whole(cls, content: Any) -> Any:
        return resolved(content)

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
        if self.rerank.stages is None and self.model.api is None and self.hosted != HostedSettings():
            raise ValueError("hosted: is about a hosted model. Set model.api, or remove the section")
        return self

    @model_validator(mode="after")
    def _judges_by_answers(self) -> Self:
        check_answers(self.data, self.answers, self.evaluate.metrics)
        return self

    @model_validator(mode="after")
    def _one_model_or_stages(self) -> Self:
        if (stages := self.rerank.stages) is None:
            return self
        _check_cascade(self)
        if self.data.runs is not None:
            raise ValueError("data.runs: a cascade starts from one first stage. Give data.run, one at a time")
        if self.data.depth != stages[0].depth:
            raise ValueError(
                f"data.depth {self.data.depth} and rerank.stages.0.depth {stages[0].depth} are the same thing: leave "
                "one of them out"
            )
        return self

    @model_serializer(mode="wrap")
    def _said_once(self, told: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What the stages of a cascade hold is not said a second time, above them."""
        return above_stages(told(self)) if self.rerank.stages is not None else told(self)

    def stages(self) -> tuple[RunConfig, ...]:
        """The config of each stage, as if it were run by itself over what the one before left; of one model itself."""
        if self.rerank.stages is None:
            return (self,)
        return tuple(map(self._of_stage, self.rerank.stages))

    def _of_stage(self, stage: StageSettings) -> RunConfig:
        own = {name: getattr(stage, name) for name in ("model", *INHERITED)}
        data = self.data.model_copy(update={"depth": stage.depth})
        rerank = self.rerank.model_copy(update={"stages": None})
        return self.model_copy(update={**own, "data": data, "rerank": rerank, "gate": GateSettings()})

    @property
    def digest(self) -> str:
        """16 hex digits that differ where the results could: all but price, pace and judge, and where they lie."""
        left_out = dict.fromkeys(("gate", "hosted", "cost", "tracking", "output"), True)
        content = self.model_dump(mode="json", exclude={**left_out, "data": {"bm25": {"folder"}}})
        for stage in content["rerank"].get("stages", ()):
            del stage["hosted"], stage["cost"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def to_yaml(self) -> str:
        """The resolved config, every default spelled out."""
        content = {VERSION_KEY: CONFIG_VERSION} | self.model_dump(mode="json")
        return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


class ServedStages(Settings):
    """What the service needs of the section rerank."""

    model_config = ConfigDict(extra="ignore")

    stages: tuple[StageSettings, ...] | None = None


class ServeConfig(Settings):
    """What the service needs of a run config; the other sections may be there, and are not looked at."""

    data: Any = None
    model: ModelSettings = ModelSettings()
    engine: EngineSettings = EngineSettings()
    serve: DeploymentSettings = DeploymentSettings()
    hosted: Any = None
    rerank: ServedStages = ServedStages()
    evaluate: Any = None
    answers: Any = None
    gate: Any = None
    cost: Any = None
    tracking: Any = None
    output: Any = None

    @model_validator(mode="before")
    @classmethod
    def _stages_are_whole(cls, content: Any) -> Any:
        return resolved(content)

    @model_validator(mode="after")
    def _one_model_or_stages(self) -> Self:
        if self.rerank.stages is not None:
            _check_cascade(self)
        return self

    def stages(self) -> tuple[ServeConfig, ...]:
        """As of a RunConfig."""
        if self.rerank.stages is None:
            return (self,)
        return tuple(
            self.model_copy(
                update={"model": one.model, "engine": one.engine, "serve": one.serve, "rerank": ServedStages()}
            )
            for one in self.rerank.stages
        )


Config = TypeVar("Config", RunConfig, ServeConfig)
Sections = TypeVar("Sections", bound=Settings)


def load_config(path: Path, overrides: Sequence[str] = (), *, cascade: bool = False) -> RunConfig:
    """A run config. Raises as `load`."""
    return load(RunConfig, path, overrides, cascade=cascade)


def load(kind: type[Config], path: Path, overrides: Sequence[str] = (), *, cascade: bool = False) -> Config:
    """Read and validate a config: a file, or a bundled one by its name. `overrides` are `section.key=value`, the value
    in YAML. That of a finished run, which is not run again, is read by `pipelines.runs.config`.

    Raises ConfigError that names the file, the key and the remedy; and, unless a `cascade` is taken, for one.
    """
    content = read_sections(path)
    set_keys(content, overrides)
    read = [name for name, field in kind.model_fields.items() if field.annotation is not Any]
    refuse_hidden({name: content[name] for name in read if name in content}, f"config {path}")
    return taken(validated(kind, content, f"config {path}"), f"config {path}", cascade=cascade)


def taken(config: Config, name: str, *, cascade: bool) -> Config:
    """The config. Raises ConfigError for a cascade where none is taken."""
    if config.rerank.stages is not None and not cascade:
        raise ConfigError(
            f"{name}: rerank.stages: this works on one model, and the config is of a cascade. Give one whose section "
            "model is that of the stage you mean, and no stages"
        )
    return config


def _check_cascade(config: RunConfig | ServeConfig) -> None:
    if "model" in config.model_fields_set:
        raise ValueError("model and rerank.stages are both given: in a cascade each stage has its model. Keep one")
    hosted = config.hosted if isinstance(config.hosted, HostedSettings) else HostedSettings()
    check_stages(config.rerank.stages or (), config.serve, hosted)


def refuse_hidden(content: Mapping[str, Any], name: str) -> None:
    """Raises ConfigError where a secret was taken out."""
    if hidden := hidden_in(content):
        raise ConfigError(
            f"{name}: {', '.join(hidden)}: *** stands in place of a secret, as in each copy of a run's config. Write "
            "the secret, or leave the key out"
        )


def validated(kind: type[Sections], content: Mapping[str, Any], name: str) -> Sections:
    """The config of these sections. Raises ConfigError, which begins with `name`."""
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise ConfigError(
            f"{name}: " + "; ".join(explained(one, kind.model_fields) for one in error.errors())
        ) from error


def read_sections(path: Path, kind: type[Settings] = RunConfig) -> dict[str, Any]:
    """A config's sections as they are written; paths of a bundled one lead to what came with it.

    Raises ConfigError where it cannot be read, or has no sections.
    """
    file = ConfigFile.find(path)
    content = read_yaml(file.path, "config", file.remedy)
    if not isinstance(content, dict):
        raise ConfigError(f"config {path}: expected sections ({', '.join(kind.model_fields)}), found {content!r:.60}")
    content = of_today(content, check_version(content.pop(VERSION_KEY, 1), CONFIG_VERSION, f"config {path}"))
    sections = {name: {} if section is None else section for name, section in content.items()}  # `model:` alone
    return sections | ({"data": file.placed(sections["data"])} if "data" in sections else {})
