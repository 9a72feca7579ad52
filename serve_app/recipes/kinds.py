"""All kinds of recipes, and how one is read from a mapping."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from serve_app.recipes.cross_encoder import CrossEncoderRecipe
from serve_app.recipes.decoder import DecoderRecipe
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.late_interaction import LateInteractionRecipe
from serve_app.recipes.listwise import ListwiseRecipe
from serve_app.recipes.modular import ModularRecipe
from stages.core.errors import ConfigError

Recipe: TypeAlias = (
    DecoderRecipe | CrossEncoderRecipe | ModularRecipe | EmbeddingRecipe | LateInteractionRecipe | ListwiseRecipe
)
_ADAPTER: TypeAdapter[Recipe] = TypeAdapter(Annotated[Recipe, Field(discriminator="kind")])


def parse_recipe(content: Mapping[str, Any], where: str) -> Recipe:
    """Raises ConfigError, which begins with `where`, for what is none."""
    try:
        return _ADAPTER.validate_python(dict(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:] or first["loc"])
        raise ConfigError(f"{where}{f'.{place}' if place else ''}: {first['msg']}") from error


def recipe_digest(recipe: Recipe) -> str:
    """12 hex digits over what decides a score: not where it was published, and for whom."""
    told = recipe.model_dump_json(
        exclude={"name", "source", "verified", "hub", "architectures", "max_length", "resembles"}
    )
    return hashlib.sha256(told.encode()).hexdigest()[:12]
