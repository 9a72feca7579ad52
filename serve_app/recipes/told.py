"""A recipe in words: how a model is scored, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from serve_app.recipes.kinds import Recipe
from serve_app.recipes.recipe import OWN

# What a recipe says of itself, rather than of how a model is scored.
ABOUT = ("name", "kind", "source", "verified", "hub", "architectures", "max_length", "resembles")


def told_recipe(recipe: Recipe) -> str:
    """In one line: what it is called, and of which kind it is."""
    if recipe.name == recipe.kind:  # of the model's own files, not published under a name
        return recipe.kind
    return f"{'a recipe of your own' if recipe.name == OWN else recipe.name} ({recipe.kind})"


def told_procedure(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Each thing that decides a score -> how it is done. What does not apply is left out."""
    content = recipe.model_dump(mode="json", exclude=set(ABOUT))
    for name, value in content.items():
        for key, text in _told(name, value):
            yield key.replace("_", " "), text


def _told(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Texts are quoted, so that blanks and line ends are seen; a list of texts is a line each, one of signs a line."""
    if value is None or value in ([], {}) or value is False:
        return
    if isinstance(value, dict):
        yield name, _pairs(value)
    elif isinstance(value, list) and all(isinstance(one, str) and len(one) == 1 for one in value):
        yield name, " ".join(value)
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield (name if place == 0 else ""), _pairs(one) if isinstance(one, dict) else _one(one)
    else:
        yield name, _one(value)


def _pairs(value: dict[str, Any]) -> str:
    told = {key: one for key, one in value.items() if one is not None}
    return ", ".join(f"{key.replace('_', ' ')} {_one(one)}" for key, one in told.items())


def _one(value: Any) -> str:
    if value is True:
        return "yes"
    if value is False:
        return "no"
    if isinstance(value, list):
        return " and ".join(map(_one, value))
    # A word is told as it is; what has blanks, places or signs is a text of a prompt.
    return str(value) if not isinstance(value, str) or value.replace("_", "").isalnum() else repr(value)
