"""A causal language model, one or two of whose vocabulary logits at the last token are the score."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from serve_app.recipes.recipe import BaseRecipe, Score
from serve_app.settings import Family, Settings


class Tokens(Settings):
    """By text or id: the logit of `positive`, less that of `negative` where there is one."""

    positive: str | int
    negative: str | int | None = None


class DecoderRecipe(BaseRecipe):
    """`prompt` holds what is tokenized apart, with the places {query}, {document} and {instruction}; `instructed` takes
    its place where there is an instruction, if the form differs. `special_tokens`: the tokenizer
    adds its own around it.
    """

    family: ClassVar[Family] = "decoder"

    kind: Literal["decoder"] = "decoder"
    prompt: tuple[str, ...]
    instructed: tuple[str, ...] | None = None
    instruction: str | None = None
    special_tokens: bool = False
    tokens: Tokens
    score: Score = Field(default_factory=lambda: Score(activation="none"))
