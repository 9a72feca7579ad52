"""A model that reads all documents of a query in one prompt: a score belongs to its whole list."""

from __future__ import annotations

from typing import ClassVar, Literal

from serve_app.recipes.recipe import BaseRecipe
from serve_app.settings import Family


class ListwiseRecipe(BaseRecipe):
    family: ClassVar[Family] = "listwise"

    kind: Literal["listwise"] = "listwise"
