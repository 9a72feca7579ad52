"""A causal language model, one or two of whose vocabulary logits at the last token are the score."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, model_validator

from serve_app.base_settings import Settings
from serve_app.recipes.recipe import BaseRecipe, Score
from serve_app.settings import Family

PLACES = ("query", "document", "instruction")
PLACE = re.compile(f"{{({'|'.join(PLACES)})}}")
# Whose logits are the last state times the head and nothing more, as vLLM's classifiers compute them.
ARCHITECTURES = (
    "GemmaForCausalLM",
    "LlamaForCausalLM",
    "MistralForCausalLM",
    "Qwen2ForCausalLM",
    "Qwen3ForCausalLM",
)
# Encoder-decoders, which vLLM lacks: their logits are those of the decoder's first step.
FIRST_STEP = ("T5ForConditionalGeneration",)


def _as_units(told: Any) -> Any:
    return (told,) if isinstance(told, str) else told


def _text_or_id(told: Any) -> Any:
    if isinstance(told, bool):
        raise ValueError("a token is a text or an id; YAML reads yes and no as true and false: put it in quotes")
    if not (isinstance(told, str) and told) and not (isinstance(told, int) and told >= 0):
        raise ValueError(f"{told!r} is no token: it is a text or an id")
    return told


Units = Annotated[tuple[str, ...], BeforeValidator(_as_units)]
Token = Annotated[str | int, BeforeValidator(_text_or_id)]


class Tokens(Settings):
    """By text or id: the logit of `positive`, less that of `negative` where there is one."""

    positive: Token
    negative: Token | None = None

    @model_validator(mode="after")
    def _differ(self) -> Tokens:
        if self.positive == self.negative:
            raise ValueError(f"positive and negative are both {self.positive!r}: all scores would be 0")
        return self


class DecoderRecipe(BaseRecipe):
    """`prompt` holds what is tokenized apart, with the places {query}, {document} and {instruction}; `instructed` takes
    its place where there is an instruction, if the form differs. Special tokens that the prompt spells out are read as
    such, those of queries and documents never. `special_tokens`: the tokenizer adds its own around it. `strip`: texts
    lose the blanks at both ends.
    """

    family: ClassVar[Family] = "decoder"

    kind: Literal["decoder"] = "decoder"
    prompt: Units
    instructed: Units | None = None
    instruction: str | None = None
    special_tokens: bool = False
    strip: bool = False
    tokens: Tokens
    score: Score = Field(default_factory=lambda: Score(activation="none"))

    @property
    def takes_instruction(self) -> bool:
        return "instruction" in places(self.instructed or self.prompt)

    @model_validator(mode="after")
    def _has_its_places(self) -> DecoderRecipe:
        for name, units in (("prompt", self.prompt), ("instructed", self.instructed)):
            if units is not None:
                _require_places(name, places(units))
        in_prompt = "instruction" in places(self.prompt)
        if self.instructed is not None and "instruction" not in places(self.instructed):
            raise ValueError("instructed has no {instruction}. Write it where the instruction stands")
        if self.instructed is not None and in_prompt:
            raise ValueError("prompt has an {instruction}, so that instructed is never used. Leave one of the two out")
        if in_prompt and self.instruction is None:
            raise ValueError("prompt has an {instruction}, and instruction, the default one, is missing. Set it")
        if self.instruction is not None and not self.takes_instruction:
            raise ValueError("instruction is set, and neither prompt nor instructed has an {instruction}")
        return self


def places(units: tuple[str, ...]) -> list[str]:
    """The names of all places in a prompt, in their order."""
    return [name for unit in units for name in PLACE.findall(unit)]


def fill(text: str, values: Mapping[str, str]) -> str:
    """A unit with its places filled; what is filled in is looked at no further."""
    return PLACE.sub(lambda place: values[place[1]], text)


def around_document(units: tuple[str, ...]) -> tuple[str, str]:
    """A prompt in two texts, the second with the document: parted where a unit begins with its part, if one does."""
    first = next(number for number, unit in enumerate(units) if "{document}" in unit)
    if first:
        return "".join(units[:first]), "".join(units[first:])
    before, place, after = "".join(units).partition("{document}")
    return before, place + after


def _require_places(name: str, found: list[str]) -> None:
    for place in ("query", "document"):
        if found.count(place) != 1:
            raise ValueError(f"{name} has {found.count(place)} times {{{place}}}, and needs it once")
    if found.count("instruction") > 1:
        raise ValueError(f"{name} has {{instruction}} more than once")
