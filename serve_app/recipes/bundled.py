"""The recipes that come with rerank-eval: configs/recipes/NAME.yaml."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import yaml

from serve_app.recipes.kinds import Recipe, parse_recipe
from stages.core.errors import ConfigError

PACKAGES = Path(__file__).parents[2]  # the folder that holds them


@cache
def bundled_recipes() -> dict[str, Recipe]:
    """Name -> recipe, in order."""
    found = {}
    for file in sorted(_place().glob("*.yaml")):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        found[file.stem] = parse_recipe({"name": file.stem, **content}, file.name)
    return found


def bundled_recipe(name: str) -> Recipe:
    """Raises ConfigError, with the names there are, for one that is not there."""
    known = bundled_recipes()
    if name not in known:
        raise ConfigError(f"model.recipe {name}: there is none of this name. Choose from {', '.join(known)}")
    return known[name]


def _place() -> Path:
    """The repository's; or the nearest share above the packages, where a wheel puts them."""
    if (PACKAGES / "pyproject.toml").is_file():
        return PACKAGES / "configs" / "recipes"
    places = [folder / "share" / "rerank-eval" / "configs" / "recipes" for folder in (PACKAGES, *PACKAGES.parents)]
    return next((place for place in places if place.is_dir()), places[0])
