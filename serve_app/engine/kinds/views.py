"""What vLLM is told of a model so that it computes what its publisher means, and that alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serve_app.engine.head import model_folder, without_modules
from serve_app.engine.models import ModelInfo
from serve_app.recipes.cross_encoder import CrossEncoderRecipe
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.modular import ModularRecipe
from serve_app.recipes.modules import DenseStep, LayerNormStep, Step


def arguments(recipe: CrossEncoderRecipe | EmbeddingRecipe | ModularRecipe, model: ModelInfo) -> dict[str, Any]:
    """vLLM's arguments that name the model's files, and what stands in them."""
    found: dict[str, Any] = {"hf_overrides": recipe.overrides} if recipe.overrides else {}
    steps = () if isinstance(recipe, CrossEncoderRecipe) else recipe.steps or ()
    if has_weights(steps) or recipe.misread:
        found |= {"model": str(without_modules(model_folder(model.path, model.revision))), "revision": None}
    return found


def has_weights(steps: Sequence[Step]) -> bool:
    return any(isinstance(step, DenseStep | LayerNormStep) and step.folder for step in steps)
