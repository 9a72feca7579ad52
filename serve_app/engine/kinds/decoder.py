"""Decoders: a prompt for each pair, and one raw logit of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serve_app.engine.models import ModelInfo
from serve_app.engine.outputs import Output, Task, classified
from serve_app.engine.prompts import Prompt, PromptEncoder, Qwen3Encoder
from serve_app.recipes.decoder import DecoderRecipe
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.records import PairScore

# Official weights are causal language models; vLLM turns the yes and no rows of the head into a classifier on loading.
QWEN3_OVERRIDES: dict[str, Any] = {
    "architectures": ["Qwen3ForSequenceClassification"],
    "classifier_from_token": ["no", "yes"],
    "is_original_qwen3_reranker": True,
}


class DecoderProcedure:
    task: Task = "classify"
    encoder: PromptEncoder

    def __init__(self, recipe: DecoderRecipe, model: ModelInfo, settings: ModelSettings, tokenizer: Any) -> None:
        self.recipe = recipe
        self.encoder = Qwen3Encoder(
            tokenizer.backend_tokenizer, model.max_length, settings.template, settings.instruction
        )

    def pairs(self, prompts: Sequence[Prompt], outputs: Sequence[Output]) -> list[PairScore]:
        return [classified(prompt, output, self.recipe.score) for prompt, output in zip(prompts, outputs, strict=True)]


def arguments(recipe: DecoderRecipe, model: ModelInfo, engine: EngineSettings) -> dict[str, Any]:
    """The two rows of the head, and the cache of what prompts share."""
    del recipe, model
    return {"hf_overrides": QWEN3_OVERRIDES, "enable_prefix_caching": engine.prefix_caching}
