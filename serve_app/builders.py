"""For `serve deploy`: Ray Serve's own config file names these, with the sections of a run config as `args`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import serve

from serve_app.base_settings import Settings
from serve_app.engine.models import describe
from serve_app.http.api_input import key_digest
from serve_app.http.ingress import build_ingress
from serve_app.http.keys import api_keys
from serve_app.replica.app import AppSettings, build_app
from serve_app.settings import DeploymentSettings, EngineSettings, ModelSettings
from stages.core.errors import ConfigError


class Sections(Settings):
    """The `args` of an application in Ray Serve's config file. `serve.application` must be the engines' name there."""

    model: ModelSettings = ModelSettings()
    engine: EngineSettings = EngineSettings()
    serve: DeploymentSettings = DeploymentSettings()


def engines(args: dict[str, Any]) -> serve.Application:
    """The application of engines."""
    return build_app(_settings(Sections.model_validate(args)))


def api(args: dict[str, Any]) -> serve.Application:
    """The HTTP service in front of them. Raises ConfigError where keys are named that cannot be had."""
    sections = Sections.model_validate(args)
    http = sections.serve.http
    if http.api_keys_file is not None and not Path(http.api_keys_file).is_absolute():
        raise ConfigError(
            f"serve.http.api_keys_file {http.api_keys_file}: under `serve deploy` the current folder is Ray's own; "
            "give the file's absolute path, on the node that builds the application"
        )
    return build_ingress(_settings(sections), http, [key_digest(key) for key in api_keys(http)])


def _settings(sections: Sections) -> AppSettings:
    return AppSettings(
        describe(sections.model, sections.engine.backend), sections.model, sections.engine, sections.serve
    )
