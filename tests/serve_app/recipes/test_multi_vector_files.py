"""What sentence-transformers saves of a late-interaction model is scored as the model that it was saved from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sentence_transformers import MultiVectorEncoder

from serve_app.engine.models import describe
from serve_app.engine.procedure import load_procedure
from serve_app.recipes.kinds import recipe_digest
from serve_app.recipes.late_interaction import LateInteractionRecipe
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError
from tests.checkpoints.late_interaction import make_modern_colbert, make_pylate_bert, make_stanford_colbert

TRANSFORMER, MASK = "sentence_bert_config.json", "2_MultiVectorMask/config.json"


def unexpanded(folder: Path) -> Path:
    return make_pylate_bert(folder, do_query_expansion=False, skiplist_words=["a", "."])


@pytest.fixture(scope="module", params=[make_modern_colbert, make_stanford_colbert, unexpanded])
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The folder of another layout, and what sentence-transformers saved of it."""
    make: Callable[[Path], Path] = request.param
    folder, again = make(tmp_path_factory.mktemp("other")), tmp_path_factory.mktemp("saved")
    MultiVectorEncoder(str(folder), device="cpu").save_pretrained(str(again))
    return folder, again


def test_it_is_scored_as_the_model_that_it_was_saved_from(saved: tuple[Path, Path]) -> None:
    settings = [ModelSettings(name=str(folder)) for folder in saved]
    models = [describe(one) for one in settings]
    assert [one.recipe and one.recipe.name == "multi-vector-encoder" for one in models] == [False, True]
    assert models[0].max_length == models[1].max_length
    texts = ["Prefix caching keeps, the key-value blocks.", "重排序", "one two three four " * 60, ""]
    procedures = [load_procedure(model, one) for model, one in zip(models, settings, strict=True)]
    prompts = [one.encoder.encode("how does it work? " * 3, None, texts) for one in procedures]
    assert [one.token_ids for one in prompts[0]] == [one.token_ids for one in prompts[1]]
    recipes = [one.recipe for one in models if isinstance(one.recipe, LateInteractionRecipe)]
    for field in ("query_length", "expansion", "skipped", "dimension"):
        assert getattr(recipes[0], field) == getattr(recipes[1], field)
    if prompts[0][0].beside is not None:
        assert prompts[0][0].beside == pytest.approx(prompts[1][0].beside, abs=1e-5)


@pytest.fixture
def native(tmp_path: Path) -> Path:
    folder = make_modern_colbert(tmp_path / "pylate")
    MultiVectorEncoder(str(folder), device="cpu").save_pretrained(str(tmp_path / "native"))
    return tmp_path / "native"


def changed(file: Path, **content: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | content), encoding="utf-8")


def test_lengths_are_the_transformers_own(native: Path) -> None:
    changed(native / TRANSFORMER, query_expansion=None, query_length=48, document_length=None)
    recipe = describe(ModelSettings(name=str(native))).recipe
    assert isinstance(recipe, LateInteractionRecipe)
    assert (recipe.expansion, recipe.query_length, recipe.max_length) == ("none", 48, 299)
    changed(native / TRANSFORMER, query_length=None, max_seq_length=200)
    other = describe(ModelSettings(name=str(native))).recipe
    assert isinstance(other, LateInteractionRecipe)
    assert (other.query_length, other.max_length) == (200, 200)
    assert recipe_digest(recipe) != recipe_digest(other)


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        (TRANSFORMER, {"query_expansion": {"strategy": "min", "length": 8}}, "query_expansion is"),
        (TRANSFORMER, {"query_expansion": {"strategy": "fixed", "token": ".", "length": 8}}, "query_expansion is"),
        (MASK, {"skiplist_tasks": ["query", "document"]}, "its MultiVectorMask is"),
        (MASK, {"keep_only_token_ids": [7]}, "its MultiVectorMask is"),
        (
            "config_sentence_transformers.json",
            {"prompts": {"query": "find: ", "document": "[D] "}},
            "a prompt is 'find",
        ),
        ("config_sentence_transformers.json", {"prompts": {"query": "[Q]", "document": "[D] "}}, "a prompt is '[Q]'"),
        ("config_sentence_transformers.json", {"similarity_fn_name": "meanmaxsim"}, "is 'meanmaxsim'"),
        ("1_Dense/config.json", {"module_input_name": "sentence_embedding"}, "module_input_name is"),
    ],
)
def test_what_is_computed_otherwise_is_refused(native: Path, file: str, content: dict[str, Any], words: str) -> None:
    changed(native / file, **content)
    with pytest.raises(ConfigError) as caught:
        describe(ModelSettings(name=str(native)))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
