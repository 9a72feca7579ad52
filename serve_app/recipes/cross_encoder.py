"""A sequence classifier with one label, which reads query and document in one text or as the tokenizer's pair."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from serve_app.recipes.activation import score_of
from serve_app.recipes.decoder import DecoderRecipe, Tokens, Units
from serve_app.recipes.files import ModelFiles
from serve_app.recipes.modules import default_prompt, module_types, refused
from serve_app.recipes.reading import is_misread, overrides
from serve_app.recipes.recipe import BaseRecipe, Score
from serve_app.recipes.transformer import transformer
from serve_app.settings import Family
from stages.core.errors import ConfigError

SUFFIX = "ForSequenceClassification"
TASK = "sequence-classification"
# Encoders, whatever stands behind their names: they were trained on pairs with separators between. What is on a decoder
# was trained with a template, or with the two texts one behind the other: no file says which.
ENCODERS = frozenset(
    {
        *("Albert", "BigBird", "Bert", "Camembert", "Canine", "ConvBert", "Data2VecText", "Deberta", "DebertaV2"),
        *("DistilBert", "Electra", "Ernie", "EuroBert", "FNet", "Flaubert", "Funnel", "GteNew", "IBert", "JinaBert"),
        *("Longformer", "Luke", "MPNet", "Mra", "MegatronBert", "MobileBert", "ModernBert", "NeoBERT", "New"),
        *("NomicBert", "Nystromformer", "RemBert", "Roberta", "RobertaPreLayerNorm", "RoFormer", "SqueezeBert"),
        *("XLM", "XLMRoberta", "XLMRobertaXL", "XLNet", "Xmod", "Yoso"),
    }
)


class CrossEncoderRecipe(BaseRecipe):
    """Without a `prompt` the tokenizer joins query and document as a pair; `query` is what the query becomes first, and
    ends with its place. `prompt`, `instructed`, `instruction`, `special_tokens` and `strip` are what they are of a
    decoder.
    """

    family: ClassVar[Family] = "cross-encoder"

    kind: Literal["cross-encoder"] = "cross-encoder"
    query: str = "{query}"
    prompt: Units | None = None
    instructed: Units | None = None
    instruction: str | None = None
    special_tokens: bool = False
    strip: bool = False
    lower_case: bool = False
    overrides: dict[str, Any] = Field({})
    misread: bool = False
    score: Score | None = None

    @property
    def plain(self) -> bool:
        """Whether the sigmoid of what the model gives for the tokenizer's pair is all there is to it."""
        pair = self.prompt is None and self.query == "{query}"
        return pair and not self.lower_case and self.score == Score()

    @property
    def frame(self) -> DecoderRecipe | None:
        """Its prompt, as a decoder's recipe whose tokens nobody asks for."""
        if self.prompt is None:
            return None
        return DecoderRecipe(
            name=self.name,
            prompt=self.prompt,
            instructed=self.instructed,
            instruction=self.instruction,
            special_tokens=self.special_tokens,
            strip=self.strip,
            tokens=Tokens(positive=0),
        )

    @property
    def takes_instruction(self) -> bool:
        return self.frame is not None and self.frame.takes_instruction

    @model_validator(mode="after")
    def _has_a_whole_prompt(self) -> CrossEncoderRecipe:
        try:
            framed = self.frame is not None
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error
        alone = (self.instructed, self.instruction, self.special_tokens or None, self.strip or None)
        if not framed and alone != (None,) * 4:
            raise ValueError("instructed, instruction, special_tokens and strip need a prompt. Write one")
        if framed and (self.query != "{query}" or self.lower_case):
            raise ValueError("query and lower_case are for pairs: with a prompt leave them out")
        return self

    @field_validator("query")
    @classmethod
    def _ends_with_query(cls, text: str) -> str:
        if not text.endswith("{query}"):
            raise ValueError("must end with {query}")
        return text


def read(files: ModelFiles) -> CrossEncoderRecipe | None:
    """That of a classifier on an encoder, yet to be completed. None for any other model; ConfigError for a classifier
    whose text cannot be known.
    """
    types = module_types(files)
    if not files.architecture.endswith(SUFFIX) or "Pooling" in types or "LogitScore" in types:
        return None
    if types and types != ["Transformer"]:
        raise refused("modules.json", "modules", ", ".join(types), "a Transformer alone")
    if files.architecture.removesuffix(SUFFIX) not in ENCODERS:
        raise ConfigError(
            f"model.name: config.json says {files.architecture}, a classifier on a decoder, and no file says what it "
            "reads. Set model.recipe to plain-pair where its tokenizer joins the two, or to a recipe with its prompt."
        )
    return CrossEncoderRecipe(name="cross-encoder")


def complete(recipe: CrossEncoderRecipe, files: ModelFiles) -> CrossEncoderRecipe:
    """With what the model's files say, where the recipe itself says nothing. Raises ConfigError for several labels."""
    if recipe.architectures and files.architecture not in recipe.architectures:
        known = ", ".join(recipe.architectures)
        raise refused("config.json", "architectures", files.architecture, f"{known}, for the recipe {recipe.name}")
    labels = label_count(files.config)
    if labels != 1:
        raise refused("config.json", "labels", labels, "one, as rerankers have; this one sorts texts into classes")
    return recipe.model_copy(
        update={
            "query": default_prompt(files) + "{query}" if recipe.query == "{query}" else recipe.query,
            "overrides": recipe.overrides or overrides(files),
            "misread": is_misread(files),
            "lower_case": recipe.lower_case or transformer(files, TASK).lower_case,
            "score": recipe.score or score_of(files),
        }
    )


def label_count(config: Mapping[str, Any]) -> int:
    """As Transformers counts them: it writes none where there are two."""
    names = config.get("id2label")
    return len(names) if names is not None else int(config.get("num_labels") or 2)
