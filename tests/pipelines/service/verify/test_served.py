"""`rerank-eval verify` against the real service over a real vLLM engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray import serve

from pipelines.base.config import ServeConfig, load
from pipelines.base.console import Console
from pipelines.service.verify.command import VerifyOrder, make_setup, verify
from serve_app.engine.models import describe
from serve_app.http.ingress import build_ingress
from serve_app.replica.app import AppSettings, run_app
from serve_app.replica.status import wait_until_up

API = "verified-api"


@pytest.fixture(scope="module")
def url(served: dict[str, Any], http_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service in front of the engine that the jobs use too."""
    path = tmp_path_factory.mktemp("verified") / "serve.yaml"
    path.write_text(yaml.safe_dump(served))
    config = load(ServeConfig, path)
    settings = AppSettings(describe(config.model), config.model, config.engine, config.serve)
    run_app(build_ingress(settings, settings.deployment.http, []), API, route="/")
    wait_until_up(API, 60)
    yield f"http://127.0.0.1:{http_port}"
    serve.delete(API)


def check(url: str, served: dict[str, Any], tmp_path: Path, **model: Any) -> dict[str, Any]:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(served | {"model": served["model"] | model}))
    content, _ = verify(make_setup(VerifyOrder(path, url, pairs=30)), Console(quiet=True))
    print(content["dtype"], content["tolerance"], content["agreement"], content["fault"], sep="\n")  # for pytest -rP
    return content


def test_the_services_scores_and_tokens_are_those_of_transformers(
    url: str, served: dict[str, Any], tmp_path: Path
) -> None:
    content = check(url, served, tmp_path)
    assert content["agrees"], content["agreement"]
    assert content["sample"]["unanswered"] == 0
    assert content["tokens"]["encoder"]["differing"] == content["tokens"]["service"]["differing"] == 0
    assert content["tokens"]["service"]["longest"] == 400
    assert content["agreement"]["tau_mean"] > 0.9


def test_another_template_than_the_services_is_named(url: str, served: dict[str, Any], tmp_path: Path) -> None:
    content = check(url, served, tmp_path, template="blank_line")
    assert not content["agrees"]
    assert content["fault"]["name"] == "other_template"
    assert "writes the single_newline prompt, the config says blank_line" in content["fault"]["says"]
