"""A sequence classifier with one label, which reads query and document in one text or as the tokenizer's pair."""

from __future__ import annotations

from typing import ClassVar, Literal

from serve_app.recipes.recipe import BaseRecipe, Score
from serve_app.settings import Family


class CrossEncoderRecipe(BaseRecipe):
    """`template` is one text with the places {query} and {document}; null: the tokenizer joins them as a pair."""

    family: ClassVar[Family] = "cross-encoder"

    kind: Literal["cross-encoder"] = "cross-encoder"
    template: str | None = None
    lower_case: bool = False
    score: Score = Score()
