"""For `serve deploy`: Ray Serve's own config file names these, with the sections of a run config as `args`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import model_validator
from ray import serve

from serve_app.base_settings import Settings
from serve_app.engine.models import describe
from serve_app.http.api_input import key_digest
from serve_app.http.ingress import Served, build_front
from serve_app.http.keys import api_keys
from serve_app.http_settings import HttpSettings
from serve_app.replica.app import AppSettings, build_app
from serve_app.settings import DeploymentSettings, EngineSettings, ModelSettings
from stages.core.errors import ConfigError


class Sections(Settings):
    """The `args` of an application in Ray Serve's config file. `serve.application` must be the engines' name there."""

    model: ModelSettings = ModelSettings()
    engine: EngineSettings = EngineSettings()
    serve: DeploymentSettings = DeploymentSettings()


class StageSections(Sections):
    """One stage of a cascade: the `args` of its application of engines, and how many documents it scores."""

    depth: int | None = None


class ApiSections(Sections):
    """The `args` of the HTTP service: those of the engines, or of a cascade's `stages` and `serve.http`."""

    stages: tuple[StageSections, ...] = ()

    @model_validator(mode="after")
    def _one_model_or_stages(self) -> Self:
        if self.stages and self.model_fields_set & {"model", "engine"}:
            raise ValueError("model, engine and stages are given: in a cascade each stage has its own. Keep one")
        return self


def engines(args: dict[str, Any]) -> serve.Application:
    """The application of engines."""
    return build_app(_settings(Sections.model_validate(args)))


def api(args: dict[str, Any]) -> serve.Application:
    """The HTTP service in front of them. Raises ConfigError where keys are named that cannot be had."""
    sections = ApiSections.model_validate(args)
    http = sections.serve.http
    if http.api_keys_file is not None and not Path(http.api_keys_file).is_absolute():
        raise ConfigError(
            f"serve.http.api_keys_file {http.api_keys_file}: under `serve deploy` the current folder is Ray's own; "
            "give the file's absolute path, on the node that builds the application"
        )
    return _front(sections, http)


def _front(sections: ApiSections, http: HttpSettings) -> serve.Application:
    several = [Served(_settings(one), one.depth) for one in sections.stages] or [Served(_settings(sections))]
    return build_front(several, http, [key_digest(key) for key in api_keys(http)])


def _settings(sections: Sections) -> AppSettings:
    return AppSettings(
        describe(sections.model, sections.engine.backend), sections.model, sections.engine, sections.serve
    )
