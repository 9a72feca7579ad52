"""A model's files and the user's word -> its recipe, or a refusal in one line: nothing is scored by a guess."""

from __future__ import annotations

from fnmatch import fnmatch
from functools import partial
from typing import Any

from serve_app.recipes import cross_encoder, embedding, modular
from serve_app.recipes.bundled import bundled_recipe, bundled_recipes
from serve_app.recipes.cross_encoder import CrossEncoderRecipe
from serve_app.recipes.decoder import DecoderRecipe
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.files import ModelFiles
from serve_app.recipes.fit import require_fit, unknown
from serve_app.recipes.kinds import Recipe
from serve_app.recipes.late_interaction import LateInteractionRecipe
from serve_app.recipes.late_interaction_files import read_late_interaction
from serve_app.recipes.listwise import ListwiseRecipe
from serve_app.recipes.listwise_files import read_listwise
from serve_app.recipes.modular import ModularRecipe
from serve_app.recipes.own import own_recipe, require_plain
from serve_app.recipes.read_decoder import QWEN3, read_decoder, require_readable
from serve_app.recipes.recipe import OWN
from serve_app.settings import EMBEDDED_MODEL, ModelSettings
from stages.core.errors import ConfigError

# Settings of a model that mean nothing to other kinds.
EMBEDDING_ALONE = ("query_prompt", "document_prompt", "dimensions")
BLANK_LINES = "qwen3-reranker-blank-lines"


def recognise(settings: ModelSettings, files: ModelFiles) -> Recipe:
    """The recipe that is told by `model.recipe`, by a hub id, or by the files. Raises ConfigError for none."""
    require_plain(settings)
    try:
        recipe = _told(settings) or _published(files) or _read(settings, files)
        recipe = completed(_with_template(recipe, settings), files, settings)
    except ConfigError as error:  # of a file, which knows no more of the model than that it is one
        raise ConfigError(str(error).replace("model.name: ", f"model.name {settings.name}: ", 1)) from error
    given = [name for name in EMBEDDING_ALONE if getattr(settings, name) is not None]
    if given and not isinstance(recipe, EmbeddingRecipe):
        raise ConfigError(f"model.{given[0]}: {settings.name} is scored as {recipe.family}, which has none. Remove it.")
    if settings.family is not None and settings.family not in (recipe.family, recipe.name):
        raise ConfigError(
            f"model.family {settings.family}: {settings.name} is scored as {recipe.family}. Leave model.family out"
        )
    return recipe


def _told(settings: ModelSettings) -> Recipe | None:
    told: str | dict[str, Any] | None = settings.recipe
    if told is None:
        return bundled_recipe(QWEN3) if settings.family == QWEN3 else None
    return bundled_recipe(told) if isinstance(told, str) else own_recipe(told)


def _published(files: ModelFiles) -> Recipe | None:
    """The recipe that is published for this hub id. What lies in a folder is not known by the folder's name."""
    published = files.name if files.name == EMBEDDED_MODEL else files.path
    for recipe in bundled_recipes().values():
        if any(fnmatch(published.lower(), pattern.lower()) for pattern in recipe.hub):
            return recipe
    return None


def _read(settings: ModelSettings, files: ModelFiles) -> Recipe:
    """The recipe that the files tell: each kind knows its own."""
    vectors_a_token = partial(read_late_interaction, trusted=settings.trust_remote_code)
    kinds = (read_listwise, vectors_a_token, modular.read, read_decoder, embedding.read, cross_encoder.read)
    for read in kinds:
        if (found := read(files)) is not None:
            return found
    raise unknown(files)


def completed(recipe: Recipe, files: ModelFiles, settings: ModelSettings) -> Recipe:
    """With what the files and the user say where the recipe leaves it to them. Raises ConfigError where it does not fit
    the model.
    """
    require_fit(recipe, files)
    if isinstance(recipe, EmbeddingRecipe):
        return embedding.complete(recipe, files, settings)
    if isinstance(recipe, ModularRecipe):
        return modular.complete(recipe, files)
    if isinstance(recipe, CrossEncoderRecipe):
        return cross_encoder.complete(recipe, files)
    if isinstance(recipe, DecoderRecipe):
        require_readable(recipe, files)
    if isinstance(recipe, LateInteractionRecipe | ListwiseRecipe) and recipe.name != OWN:
        # Their own files tell markers and lengths, whatever the recipe of that name has.
        found = read_late_interaction(files, trusted=settings.trust_remote_code) or read_listwise(files)
        if found is None:
            raise unknown(files)
        return found
    return recipe


def _with_template(recipe: Recipe, settings: ModelSettings) -> Recipe:
    """The recipe in the form that was asked for; the tokens are the model's own in either."""
    if settings.template != "blank_line":
        return recipe
    if recipe.name != QWEN3:
        raise ConfigError(
            f"model.template blank_line: {settings.name} is scored by the recipe {recipe.name}, and only {QWEN3} has "
            "two forms. Leave model.template out."
        )
    lines = bundled_recipe(BLANK_LINES)
    return recipe.model_copy(update={name: getattr(lines, name) for name in ("prompt", "source", "verified")})
