"""A model that reads all documents of a query in one prompt: a score belongs to its whole list."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from serve_app.recipes.recipe import BaseRecipe
from serve_app.settings import Family


class ListwiseRecipe(BaseRecipe):
    """A prompt is `opening`, `task` with the places {count} and {query}, `instructed` where there is an instruction;
    each document between `before_document`, with the place {number} counted from 0, and `document_token` with
    `after_document`; the query between `before_query` and `query_token`; `closing`. What the two tokens are turned
    into are the vectors of the documents and of the query; their cosine is the score.

    Texts lose the two tokens and are cut to `query_length` and `document_length` tokens. A prompt is closed at `block`
    documents, or where `max_length` tokens, less twice the query and the documents so far, leave no more than the
    length of one document; over several prompts the query's vectors are averaged, each weighted by the best
    (1 + cosine) / 2 in its prompt.
    """

    family: ClassVar[Family] = "listwise"

    kind: Literal["listwise"] = "listwise"
    opening: str
    task: str
    instructed: str
    before_document: str
    after_document: str
    before_query: str
    closing: str
    document_token: str
    query_token: str
    query_length: int = Field(gt=0)
    document_length: int = Field(gt=0)
    block: int = Field(gt=0)

    @property
    def least_length(self) -> int:
        """The least `max_length` with which a document fits beside the longest query."""
        return 2 * self.query_length + self.document_length
