"""The recipe that a plain model of each family has."""

from __future__ import annotations

from serve_app.recipes.bundled import bundled_recipe
from serve_app.recipes.cross_encoder import CrossEncoderRecipe
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.kinds import Recipe
from serve_app.recipes.modules import Pooling
from serve_app.recipes.recipe import Score

PLAIN = ("qwen3-reranker", "cross-encoder", "embedding")


def recipe_of(family: str) -> Recipe:
    """For models that a test makes up without files."""
    others: dict[str, Recipe] = {
        "cross-encoder": CrossEncoderRecipe(score=Score()),
        "embedding": EmbeddingRecipe(
            query="{query}", document="{document}", pooling=Pooling(modes=("mean",)), steps=(), similarity="cosine"
        ),
    }
    return others[family] if family in others else bundled_recipe(family)
