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
        ({"name": "http://127.0.0.1:9", "api": "jina", "served_as": "m"}, r"rerank\.stages\.0: model\.api: a hosted"),
        ({"name": "/no/such/folder"}, r"rerank\.stages\.0: model\.name /no/such"),
        ({"name": "overlap"}, r"rerank\.stages\.0: model\.name overlap: the stand-in has no engine"),
    ],
)
def test_a_stage_that_cannot_be_served_is_refused_by_its_place(
    model: dict[str, str], told: str, tmp_path: Path
) -> None:
    path = tmp_path / "serve.yaml"
    stages = [{"model": model, "depth": 5}, {"model": {"name": "/nor/this"}, "depth": 2}]
    path.write_text(yaml.safe_dump({"rerank": {"stages": stages}}), encoding="utf-8")
    with pytest.raises(ConfigError, match=told):
        run_service(load(ServeConfig, path, cascade=True), open_to_all=False)


def test_the_stand_in_is_refused_before_a_cluster_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "no address at all")
    path = tmp_path / "serve.yaml"
    path.write_text("model: {name: overlap}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"^model\.name overlap: the stand-in has no engine that could be served"):
        run_service(load(ServeConfig, path), open_to_all=False)
