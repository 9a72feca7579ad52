"""Cross-encoders: a prompt for each pair, and the one value of its classifier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serve_app.engine.frame_encoder import FrameEncoder
from serve_app.engine.kinds import views
from serve_app.engine.models import ModelInfo
from serve_app.engine.outputs import Output, Task, classified
from serve_app.engine.prompts import PairEncoder, Prompt, PromptEncoder, lower_cased
from serve_app.recipes.cross_encoder import CrossEncoderRecipe
from serve_app.recipes.recipe import Score
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.records import PairScore


class CrossEncoderProcedure:
    """A model reads token types where its tokenizer lists `token_type_ids` as an input."""

    task: Task = "classify"
    encoder: PromptEncoder

    def __init__(self, recipe: CrossEncoderRecipe, model: ModelInfo, settings: ModelSettings, tokenizer: Any) -> None:
        self.score = recipe.score or Score()
        self.encoder = _encoder(recipe, model, settings, tokenizer)

    def pairs(self, prompts: Sequence[Prompt], outputs: Sequence[Output]) -> list[PairScore]:
        return [classified(prompt, output, self.score) for prompt, output in zip(prompts, outputs, strict=True)]


def _encoder(recipe: CrossEncoderRecipe, model: ModelInfo, settings: ModelSettings, tokenizer: Any) -> PromptEncoder:
    if recipe.frame is not None:
        return FrameEncoder(tokenizer.backend_tokenizer, model.max_length, recipe.frame, settings.instruction)
    backend = lower_cased(tokenizer.backend_tokenizer) if recipe.lower_case else tokenizer.backend_tokenizer
    token_types = "token_type_ids" in tokenizer.model_input_names
    return PairEncoder(backend, model.max_length, token_types, recipe.query.removesuffix("{query}"))


def arguments(recipe: CrossEncoderRecipe, model: ModelInfo, engine: EngineSettings) -> dict[str, Any]:
    """How vLLM has to read its files."""
    del engine
    return views.arguments(recipe, model)
