"""A model that gives every token a vector; a document's score is the sum of each query token's best match (MaxSim)."""

from __future__ import annotations

from typing import ClassVar, Literal

from serve_app.recipes.recipe import BaseRecipe
from serve_app.settings import Family


class LateInteractionRecipe(BaseRecipe):
    family: ClassVar[Family] = "late-interaction"

    kind: Literal["late-interaction"] = "late-interaction"
