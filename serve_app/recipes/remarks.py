"""What whoever reads a model's scores should know of how they were made: lines without a full stop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import PurePath

from serve_app.recipes.bundled import bundled_recipes
from serve_app.recipes.cross_encoder import CrossEncoderRecipe
from serve_app.recipes.decoder import DecoderRecipe
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.files import ModelFiles
from serve_app.recipes.kinds import Recipe
from serve_app.recipes.late_interaction import LateInteractionRecipe
from serve_app.recipes.listwise import ListwiseRecipe
from serve_app.recipes.modular import ModularRecipe
from serve_app.recipes.read_decoder import named_by
from serve_app.settings import EMBEDDED_MODEL, Backend, ModelSettings

# Names of base models and titles in the model's card.
_CALLED = re.compile(r"^(?:base_model:|\s*-|#)\s*([\w./-]+)\s*$", re.MULTILINE)


def remarks_of(recipe: Recipe, settings: ModelSettings, files: ModelFiles, backend: Backend) -> tuple[str, ...]:
    """Of this model, scored so."""
    return tuple(_remarks(recipe, settings, files, backend))


def _remarks(recipe: Recipe, settings: ModelSettings, files: ModelFiles, backend: Backend) -> Iterator[str]:
    if backend == "transformers":
        yield "computed with Transformers instead of vLLM (engine.backend), at its own speed"
    if isinstance(recipe, EmbeddingRecipe) and _without_prompts(recipe, settings):
        yield (
            "queries and documents go to the model as they are, as none of its files names a prompt. If its card does, "
            f"{_cure(recipe, files)}"
        )
    if isinstance(recipe, DecoderRecipe) and (where := named_by(recipe, settings, files)):
        yield (
            f"taken for a model of the recipe {recipe.name} by {where} alone; if it was trained on another prompt or "
            "token, set model.recipe"
        )
    if _cuts_elsewhere(recipe, files):
        yield "a text that is too long loses its end here; its tokenizer (truncation_side left) takes the beginning"
    if isinstance(recipe, LateInteractionRecipe | ListwiseRecipe):
        yield f"a query is cut at {recipe.query_length} tokens, as its publisher does"
    if settings.trust_remote_code:
        yield "code of the model's own may run (model.trust_remote_code)"


def _cuts_elsewhere(recipe: Recipe, files: ModelFiles) -> bool:
    """Whether sentence-transformers would cut a text's beginning. Where a prompt stands around it, nobody does."""
    if not isinstance(recipe, CrossEncoderRecipe | EmbeddingRecipe | ModularRecipe):
        return False
    told = files.json("tokenizer_config.json", optional=True) or {}
    framed = isinstance(recipe, CrossEncoderRecipe) and recipe.prompt is not None
    return not framed and told.get("truncation_side") == "left"


def _without_prompts(recipe: EmbeddingRecipe, settings: ModelSettings) -> bool:
    """Nobody said that there are none: no published recipe, no file, no user."""
    if settings.name == EMBEDDED_MODEL:  # whose card names none
        return False
    silent = settings.query_prompt is None and settings.document_prompt is None and settings.recipe is None
    of_files = recipe.name not in bundled_recipes()
    bare = recipe.query in (None, "{query}") and recipe.document in (None, "{document}")
    return silent and of_files and bare and not (settings.instruction or recipe.instruction)


def _cure(recipe: EmbeddingRecipe, files: ModelFiles) -> str:
    """The recipes whose models this one seems to be of, by its name or else by how it is built, or all of them."""
    published = {name: one for name, one in bundled_recipes().items() if isinstance(one, EmbeddingRecipe)}
    prompted = {name: one for name, one in published.items() if one.query_prompt(None) or one.document_prompt}
    called = {word.lower() for word in _names(files)}
    named = [
        name
        for name, one in prompted.items()
        if any(fnmatch(word, hub.rpartition("/")[2].lower()) for word in called for hub in one.hub)
    ]
    if named:
        return f"set model.recipe: by its name it may be {' or '.join(named)}"
    built = [
        name
        for name, one in prompted.items()
        if any(likeness.fits(files.config, recipe.pooling) for likeness in one.resembles)
    ]
    if built:
        told = ", ".join(built)
        return f"set model.query_prompt and model.document_prompt, or model.recipe: by its make it may be {told}"
    return "set model.query_prompt and model.document_prompt" + (
        f", or model.recipe to one of {', '.join(prompted)}" if prompted else ""
    )


def _names(files: ModelFiles) -> Iterator[str]:
    yield PurePath(files.path).name
    for word in _CALLED.findall((files.text("README.md") or "")[:4000]):
        yield word.rpartition("/")[2]
