"""Whether a recipe that a user or a hub id names can be read with a model's files."""

from __future__ import annotations

import re

from serve_app.recipes.bundled import bundled_recipes
from serve_app.recipes.cross_encoder import SUFFIX, CrossEncoderRecipe
from serve_app.recipes.embedding import POOLED, EmbeddingRecipe
from serve_app.recipes.files import ModelFiles
from serve_app.recipes.kinds import Recipe
from serve_app.recipes.late_interaction import LateInteractionRecipe
from serve_app.recipes.listwise import ListwiseRecipe
from serve_app.recipes.modules import module_types
from serve_app.recipes.recipe import OWN
from stages.core.errors import ConfigError


def require_fit(recipe: Recipe, files: ModelFiles) -> None:
    """Raises ConfigError, with what the model is and what the recipe is for."""
    known = recipe.architectures
    if known and files.architecture not in known:
        raise ConfigError(
            f"model.name {files.name}: config.json: architectures: {files.architecture} is not one that the recipe "
            f"{recipe.name} can be read with: {', '.join(known)}. Choose another recipe, or leave model.recipe out."
        )
    if isinstance(recipe, CrossEncoderRecipe) and not files.architecture.endswith(SUFFIX):
        raise _misfit(recipe, files, f"is for classifiers (...{SUFFIX})")
    if isinstance(recipe, LateInteractionRecipe | ListwiseRecipe) and recipe.name == OWN:
        classes = sorted(
            {one for other in bundled_recipes().values() if other.kind == recipe.kind for one in other.architectures}
        )
        if files.architecture not in classes:
            raise _misfit(recipe, files, f"({recipe.kind}) is for {', '.join(classes)}")
    if isinstance(recipe, EmbeddingRecipe) and not _embeds(recipe, files):
        raise _misfit(recipe, files, f"is for ...Model, and for {', '.join(POOLED)} with a Pooling module")


def unknown(files: ModelFiles) -> ConfigError:
    """Of a model that no kind of recipe knows by its files."""
    types = module_types(files)
    if "Pooling" in types and "For" in files.architecture and not files.architecture.endswith(("Model", *POOLED)):
        # Its body is that of the ...Model, which is what sentence-transformers loads and saves.
        body = re.sub(r"(For|LMHead)\w+$", "Model", files.architecture)
        return ConfigError(
            f"model.name {files.name}: config.json says {files.architecture}, whose head pooling leaves out, and vLLM "
            f"would keep. Load it with sentence-transformers and save it again, as {body}."
        )
    made_of = f", of the modules {', '.join(types)}" if types else ""
    return ConfigError(
        f"model.name {files.name}: config.json says {files.architecture}{made_of}, and how that is scored is not "
        "known. If you know it, write it in model.recipe; rerank-eval models lists what is known."
    )


def _embeds(recipe: EmbeddingRecipe, files: ModelFiles) -> bool:
    if files.architecture.endswith("Model"):
        return True
    pools = recipe.pooling is not None or "Pooling" in module_types(files)
    return pools and files.architecture.endswith(POOLED)


def _misfit(recipe: Recipe, files: ModelFiles, what: str) -> ConfigError:
    return ConfigError(
        f"model.name {files.name}: config.json says {files.architecture}, and the recipe {recipe.name} {what}. Choose "
        "another recipe, or leave model.recipe out."
    )
