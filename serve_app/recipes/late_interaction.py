"""A model that gives every token a vector; a document's score is the sum of each query token's best match (MaxSim)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from serve_app.recipes.recipe import BaseRecipe
from serve_app.settings import Family


class LateInteractionRecipe(BaseRecipe):
    """`query_marker` and `document_marker` are tokens, which stand behind the tokenizer's first. `max_length` is a
    document's, `query_length` a query's, markers and all: what is longer is cut there, as the publisher does.

    `expansion`: whether a query is filled up to its length with mask tokens, and whether its own tokens attend to them;
    all of them count. `skipped` are texts whose token in a document counts for nothing: the token of that very text
    (`vocabulary`), or the first of those that it is split into (`text`).

    `head` is what makes a token's state its vector: the modules of these folders, or else `linear.weight` beside the
    encoder's weights. Vectors have length 1 and `dimension` numbers; null: as many as the head gives.
    `engine_class` is the engine's own name of the architecture, where it goes by another one than the model's.
    """

    family: ClassVar[Family] = "late-interaction"

    kind: Literal["late-interaction"] = "late-interaction"
    query_marker: str
    document_marker: str
    query_length: int = Field(32, gt=3)
    expansion: Literal["none", "unattended", "attended"] = "unattended"
    skipped: tuple[str, ...] = ()
    skipped_as: Literal["vocabulary", "text"] = "vocabulary"
    head: tuple[str, ...] = ()
    dimension: int | None = Field(None, gt=0)
    engine_class: str | None = None
