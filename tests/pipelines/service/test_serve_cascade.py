"""What of a cascade's config is refused before anything starts. Its answers: `tests.serve_app.http.test_cascade`."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from pipelines.base.config import ServeConfig, load
from pipelines.service.serve import run_service
from stages.core.errors import ConfigError


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ({"name": "http://127.0.0.1:9", "api": "jina", "served_as": "m"}, r"rerank\.stages\.1: model\.api: a hosted"),
        ({"name": "/no/such/folder"}, r"rerank\.stages\.1: model\.name"),
    ],
)
def test_a_stage_that_cannot_be_served_is_refused_by_its_place(
    model: dict[str, str], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "serve.yaml"
    stages = [{"model": {"name": "overlap"}, "depth": 5}, {"model": model, "depth": 2}]
    path.write_text(yaml.safe_dump({"rerank": {"stages": stages}}), encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        run_service(load(ServeConfig, path, cascade=True), open_to_all=False)
