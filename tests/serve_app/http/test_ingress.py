"""How Serve is told to host the HTTP service."""

from __future__ import annotations

from serve_app.engine.models import ModelInfo
from serve_app.http.ingress import build_ingress
from serve_app.http_settings import HttpSettings
from serve_app.replica.app import AppSettings
from serve_app.settings import DeploymentSettings, EngineSettings, ModelSettings
from tests.recipes import recipe_of

MODEL = ModelInfo("tiny", "/models/tiny", None, recipe_of("qwen3-reranker"), 512, "0123456789abcdef")


def test_a_busy_machine_is_given_as_much_time_as_for_an_engine_and_our_own_limit_comes_before_serves() -> None:
    deployment = DeploymentSettings(health_check_period_s=7, health_check_timeout_s=90)
    settings = AppSettings(MODEL, ModelSettings(), EngineSettings(), deployment)
    hosted = build_ingress(settings, HttpSettings(max_waiting=5), [])._bound_deployment
    config = hosted._deployment_config
    assert (config.health_check_period_s, config.health_check_timeout_s) == (7, 90)
    assert hosted.max_ongoing_requests == 10
