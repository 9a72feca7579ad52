"""For `serve deploy`: Ray Serve's own config file names these, with the sections of a run config as `args`."""

from __future__ import annotations

import os
from typing import Any

from ray import serve

from serve_app.engine.models import describe
from serve_app.http.api_input import key_digest
from serve_app.http.ingress import build_ingress
from serve_app.replica.app import AppSettings, build_app
from serve_app.settings import DeploymentSettings, EngineSettings, ModelSettings, Settings


class Sections(Settings):
    """The `args` of an application in Ray Serve's config file. `serve.application` must be the engines' name there."""

    model: ModelSettings = ModelSettings()
    engine: EngineSettings = EngineSettings()
    serve: DeploymentSettings = DeploymentSettings()


def engines(args: dict[str, Any]) -> serve.Application:
    """The application of engines."""
    return build_app(_settings(Sections.model_validate(args)))


def api(args: dict[str, Any]) -> serve.Application:
    """The HTTP service in front of them."""
    sections = Sections.model_validate(args)
    http = sections.serve.http
    keys = [key.strip() for key in os.environ.get(http.api_keys_env, "").split(",") if key.strip()]
    return build_ingress(_settings(sections), http, [key_digest(key) for key in keys])


def _settings(sections: Sections) -> AppSettings:
    return AppSettings(describe(sections.model), sections.model, sections.engine, sections.serve)
