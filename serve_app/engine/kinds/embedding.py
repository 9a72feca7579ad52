"""Embedding models: a prompt for the query and one for each document, and the similarity of their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serve_app.engine.models import ModelInfo
from serve_app.engine.outputs import Output, Task, cosine
from serve_app.engine.prompts import Prompt, PromptEncoder, TextEncoder
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.records import PairScore


class EmbeddingProcedure:
    """The first prompt is the query's."""

    task: Task = "embed"
    encoder: PromptEncoder

    def __init__(self, recipe: EmbeddingRecipe, model: ModelInfo, settings: ModelSettings, tokenizer: Any) -> None:
        self.recipe = recipe
        self.encoder = TextEncoder(tokenizer.backend_tokenizer, model.max_length, settings.instruction)

    def pairs(self, prompts: Sequence[Prompt], outputs: Sequence[Output]) -> list[PairScore]:
        return [cosine(outputs[0], output, prompt) for prompt, output in zip(prompts[1:], outputs[1:], strict=True)]


def arguments(recipe: EmbeddingRecipe, model: ModelInfo, engine: EngineSettings) -> dict[str, Any]:
    del recipe, model, engine
    return {}
