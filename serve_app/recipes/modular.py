"""A cross-encoder of modules: the pooled vector of a pair goes through dense layers to one score (Ettin)."""

from __future__ import annotations

from typing import ClassVar, Literal

from serve_app.recipes.recipe import BaseRecipe, Score
from serve_app.settings import Family


class ModularRecipe(BaseRecipe):
    """`head` are the folders of the modules behind the pooling, in order."""

    family: ClassVar[Family] = "modular-cross-encoder"

    kind: Literal["modular-cross-encoder"] = "modular-cross-encoder"
    pooling: Literal["cls", "mean", "last"] = "cls"
    head: tuple[str, ...] = ()
    score: Score = Score(activation="none")
