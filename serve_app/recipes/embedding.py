"""A model that gives query and document a vector each; their similarity is the score."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from serve_app.recipes.recipe import BaseRecipe
from serve_app.settings import Family

# Qwen3-Embedding and E5-instruct, as their cards write it; Qwen3-Embedding's own files leave the blank out.
INSTRUCTED = "Instruct: {instruction}\nQuery: {query}"


class EmbeddingRecipe(BaseRecipe):
    """`query` and `document` are texts with a place of that name; `instructed` is the query's where there is an
    instruction. `head` are the folders of the modules behind the pooling, in order.
    """

    family: ClassVar[Family] = "embedding"

    kind: Literal["embedding"] = "embedding"
    query: str = "{query}"
    document: str = "{document}"
    instructed: str | None = INSTRUCTED
    instruction: str | None = None
    pooling: Literal["cls", "mean", "last"] | None = None
    head: tuple[str, ...] = ()
    similarity: Literal["cosine", "dot"] = "cosine"
    dimensions: int | None = Field(None, gt=0)
    lower_case: bool = False
