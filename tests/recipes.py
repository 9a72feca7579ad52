"""The recipe that a plain model of each family has."""

from __future__ import annotations

from serve_app.recipes.bundled import bundled_recipe
from serve_app.recipes.cross_encoder import CrossEncoderRecipe
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.kinds import Recipe

PLAIN = ("qwen3-reranker", "cross-encoder", "embedding")


def recipe_of(family: str) -> Recipe:
    """For models that a test makes up without files."""
    others: dict[str, Recipe] = {"cross-encoder": CrossEncoderRecipe(), "embedding": EmbeddingRecipe()}
    return others[family] if family in others else bundled_recipe(family)
