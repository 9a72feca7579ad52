"""A model that scores a list as a whole is given the list of one first stage."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.base.config import RunConfig
from pipelines.job.lists import require_whole_lists
from serve_app.engine.models import ModelInfo
from serve_app.recipes.bundled import bundled_recipe
from stages.core.errors import ConfigError


def model(recipe: str) -> ModelInfo:
    return ModelInfo(recipe, recipe, None, bundled_recipe(recipe), 512, "0" * 64)


def config(tmp_path: Path, **runs: object) -> RunConfig:
    data = {"format": "beir", "path": str(tmp_path)} | runs
    return RunConfig.model_validate({"data": data, "output": {"dir": str(tmp_path)}})


def test_the_candidates_of_several_first_stages_are_not_scored_as_one_list(tmp_path: Path) -> None:
    several = config(tmp_path, runs={"bm25": "bm25.trec", "dense": "dense.trec"})
    with pytest.raises(ConfigError, match=r"^data\.runs: jina-reranker-v3 scores a list as a whole.*data\.run$"):
        require_whole_lists(several, model("jina-reranker-v3"))
    require_whole_lists(several, model("qwen3-reranker"))
    require_whole_lists(config(tmp_path, run="bm25.trec"), model("jina-reranker-v3"))
