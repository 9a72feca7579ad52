"""All kinds of recipes, and how one is read from a mapping."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

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
KINDS: dict[str, type[BaseModel]] = {
    "decoder": DecoderRecipe,
    "cross-encoder": CrossEncoderRecipe,
    "modular-cross-encoder": ModularRecipe,
    "embedding": EmbeddingRecipe,
    "late-interaction": LateInteractionRecipe,
    "listwise": ListwiseRecipe,
}
# Keys of a recipe that a user's own has no use for.
ABOUT = ("kind", "name", "source", "verified", "hub", "resembles")
_ADAPTER: TypeAdapter[Recipe] = TypeAdapter(Annotated[Recipe, Field(discriminator="kind")])


def parse_recipe(content: Mapping[str, Any], where: str) -> Recipe:
    """Raises ConfigError, which begins with `where`, for what is none."""
    try:
        return _ADAPTER.validate_python(dict(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        raise ConfigError(f"{where}{f'.{place}' if place else ''}: {_fault(first, content)}") from error


def _fault(found: Any, content: Mapping[str, Any]) -> str:
    """What is wrong, and what would be right, of one of pydantic's errors."""
    keys = {name: [key for key in kind.model_fields if key not in ABOUT] for name, kind in KINDS.items()}
    if found["type"].startswith("union_tag"):
        told = f"kind {content['kind']!r} is none" if "kind" in content else "kind is missing"
        return f"{told}. Choose from {', '.join(KINDS)}"
    if found["type"] == "missing":
        return "is missing, and has to be written"
    if found["type"] == "extra_forbidden" and len(found["loc"]) == 2:
        return f"there is no such key. A recipe of the kind {content['kind']} takes {', '.join(keys[content['kind']])}"
    message = str(found["msg"]).removeprefix("Value error, ")
    # What stands there is told, unless the message does.
    value = (
        f"{found['input']!r:.60} cannot be read: " if found["type"] not in ("value_error", "extra_forbidden") else ""
    )
    return f"{value}{message}"


def recipe_digest(recipe: Recipe) -> str:
    """12 hex digits over what decides a score: not where it was published, and for whom."""
    told = recipe.model_dump_json(
        exclude={"name", "source", "verified", "hub", "architectures", "max_length", "resembles"}
    )
    return hashlib.sha256(told.encode()).hexdigest()[:12]
