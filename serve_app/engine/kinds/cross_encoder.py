"""Cross-encoders: a prompt for each pair, and the one value of its classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serve_app.engine.models import ModelInfo
from serve_app.engine.outputs import Output, Task, classified
from serve_app.engine.prompts import PairEncoder, Prompt, PromptEncoder
from serve_app.recipes.cross_encoder import CrossEncoderRecipe
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.records import PairScore


class CrossEncoderProcedure:
    """A model reads token types where its tokenizer lists `token_type_ids` as an input."""

    task: Task = "classify"
    encoder: PromptEncoder

    def __init__(self, recipe: CrossEncoderRecipe, model: ModelInfo, settings: ModelSettings, tokenizer: Any) -> None:
        del settings
        self.recipe = recipe
        token_types = "token_type_ids" in tokenizer.model_input_names
        self.encoder = PairEncoder(tokenizer.backend_tokenizer, model.max_length, token_types)

    def pairs(self, prompts: Sequence[Prompt], outputs: Sequence[Output]) -> list[PairScore]:
        return [classified(prompt, output, self.recipe.score) for prompt, output in zip(prompts, outputs, strict=True)]


def arguments(recipe: CrossEncoderRecipe, model: ModelInfo, engine: EngineSettings) -> dict[str, Any]:
    del recipe, model, engine
    return {}
