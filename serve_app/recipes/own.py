"""A recipe that a user wrote in a run config: what was meant and not written is told, and never scored without."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.kinds import Recipe, parse_recipe
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError

WHERE = "model.recipe"
# Texts with places, by their keys. {name} is a place; JSON in a prompt, {"a": 1}, is a text.
TEXTS = ("prompt", "instructed", "query", "document")
BRACES = re.compile(r"\{+ ?[A-Za-z_]+ ?\}+")
PLACES = ("{query}", "{document}", "{instruction}")


def own_recipe(told: Mapping[str, Any]) -> Recipe:
    """Raises ConfigError for what is no recipe."""
    if "name" in told:
        # A published one's name would be told as how it is scored.
        raise ConfigError(f"{WHERE}.name {told['name']!r}: a recipe of your own has no name. Remove it")
    recipe = parse_recipe(told, WHERE)
    if recipe.kind in ("decoder", "cross-encoder", "embedding"):
        for key, text in _texts(told):
            for found in BRACES.findall(text):
                if found not in PLACES:
                    raise ConfigError(f"{WHERE}.{key}: {found} is no place. There are {', '.join(PLACES)}")
    if isinstance(recipe, EmbeddingRecipe):
        _require_used(recipe, told)
    return recipe


def require_plain(settings: ModelSettings) -> None:
    """Raises ConfigError for a prompt of `model.query_prompt` or `model.document_prompt` that has places."""
    for key in ("query_prompt", "document_prompt"):
        for place in PLACES:
            if place in (getattr(settings, key) or ""):
                raise ConfigError(
                    f"model.{key}: {place} has no place in it: it is what stands before a text. Leave {place} out."
                )


def _require_used(recipe: EmbeddingRecipe, told: Mapping[str, Any]) -> None:
    """Raises ConfigError for a place, or an instruction, that nothing would be written to."""
    for key, places in (("query", PLACES[:1]), ("document", PLACES[1:2]), ("instructed", (PLACES[0], PLACES[2]))):
        text = str(told.get(key) or "")
        for place in PLACES:
            if (count := text.count(place)) > (place in places):
                raise ConfigError(f"{WHERE}.{key}: {place} stands there {count} times, and is is never filled in there")
    if told.get("instructed") and "{instruction}" not in told["instructed"]:
        raise ConfigError(f"{WHERE}.instructed has no {{instruction}}. Write it where the instruction stands")
    if recipe.instruction is not None and recipe.instructed is None:
        raise ConfigError(f"{WHERE}.instruction is set, and instructed is null. Leave one of the two out")


def _texts(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in TEXTS:
        value = told.get(key)
        yield from ((key, str(one)) for one in (value if isinstance(value, list | tuple) else [value or ""]))
