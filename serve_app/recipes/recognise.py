"""A model's files and the user's word -> its recipe, or a refusal in one line: nothing is scored by a guess."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any

from serve_app.recipes.bundled import bundled_recipe, bundled_recipes
from serve_app.recipes.cross_encoder import CrossEncoderRecipe
from serve_app.recipes.decoder import DecoderRecipe
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.files import ModelFiles
from serve_app.recipes.kinds import Recipe, parse_recipe
from serve_app.recipes.read_decoder import QWEN3, read_decoder, require_readable
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError

BLANK_LINES = "qwen3-reranker-blank-lines"


def recognise(settings: ModelSettings, files: ModelFiles) -> Recipe:
    """The recipe that is told by `model.recipe`, by a hub id, or by the files. Raises ConfigError for none."""
    recipe = _told(settings) or _published(files) or _read(settings, files)
    recipe = _with_template(recipe, settings)
    if isinstance(recipe, DecoderRecipe):
        require_readable(recipe, files)
    if settings.family is not None and settings.family not in (recipe.family, recipe.name):
        raise ConfigError(
            f"model.family {settings.family}: {settings.name} is scored as {recipe.family}. Leave model.family out"
        )
    return recipe


def _told(settings: ModelSettings) -> Recipe | None:
    told: str | dict[str, Any] | None = settings.recipe
    if told is None:
        return bundled_recipe(QWEN3) if settings.family == QWEN3 else None
    return bundled_recipe(told) if isinstance(told, str) else parse_recipe(told, "model.recipe")


def _published(files: ModelFiles) -> Recipe | None:
    """The recipe that is published for this hub id."""
    for recipe in bundled_recipes().values():
        if any(fnmatch(files.path.lower(), pattern.lower()) for pattern in recipe.hub):
            return recipe
    return None


def _read(settings: ModelSettings, files: ModelFiles) -> Recipe:
    """The recipe that the architecture and what lies beside it imply; a plain encoder is an embedding model."""
    if (decoder := read_decoder(files)) is not None:
        return decoder
    architecture = files.architecture
    if architecture == "Qwen3ForCausalLM":  # Qwen3-Embedding: it pools
        return EmbeddingRecipe()
    if architecture == "Qwen3ForSequenceClassification":
        raise ConfigError(
            f"model.name {settings.name} is a converted Qwen3-Reranker, whose prompt cannot be told from it. "
            "Use the original, such as Qwen/Qwen3-Reranker-0.6B: it is converted when it is loaded."
        )
    if architecture.endswith("ForSequenceClassification"):
        return CrossEncoderRecipe()
    if architecture.endswith("Model"):
        return EmbeddingRecipe()
    raise ConfigError(
        f"model.name {settings.name}: how its architecture {architecture} is scored is not known. Name a recipe of "
        "`rerank-eval models` in model.recipe, or write one there."
    )


def _with_template(recipe: Recipe, settings: ModelSettings) -> Recipe:
    if settings.template == "blank_line" and recipe.name == QWEN3:
        return bundled_recipe(BLANK_LINES).model_copy(update={"name": QWEN3})
    return recipe
