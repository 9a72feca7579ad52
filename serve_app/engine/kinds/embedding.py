"""Embedding models: a prompt for the query and one for each document, and the similarity of their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serve_app.engine.head import Head, model_folder
from serve_app.engine.kinds import views
from serve_app.engine.models import ModelInfo
from serve_app.engine.outputs import Output, Task, failed, failure, similar
from serve_app.engine.pooling import pooled, pooler_config
from serve_app.engine.prompts import Prompt, PromptEncoder, TextEncoder, lower_cased
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.records import PairScore


class EmbeddingProcedure:
    """The first prompt is the query's."""

    task: Task
    encoder: PromptEncoder

    def __init__(self, recipe: EmbeddingRecipe, model: ModelInfo, settings: ModelSettings, tokenizer: Any) -> None:
        assert recipe.pooling is not None, "a recipe that was completed"
        self.recipe, self.pooling = recipe, recipe.pooling
        self.task = "token_embed" if recipe.computed is None else "embed"
        backend = lower_cased(tokenizer.backend_tokenizer) if recipe.lower_case else tokenizer.backend_tokenizer
        self.encoder = TextEncoder(backend, model.max_length, recipe, settings.instruction)
        steps = recipe.steps or ()
        self.head = Head(steps, model_folder(model.path, model.revision) if views.has_weights(steps) else None)

    def pairs(self, prompts: Sequence[Prompt], outputs: Sequence[Output]) -> list[PairScore]:
        vectors = self._vectors(prompts, outputs)
        query = vectors[0]
        return [self._pair(query, vector, prompt) for prompt, vector in zip(prompts[1:], vectors[1:], strict=True)]

    def _pair(self, query: Any, document: Any, prompt: Prompt) -> PairScore:
        """Vectors, or why there is none."""
        for one in (query, document):
            if isinstance(one, str):
                return failed(prompt, one)
        return similar(query, document, prompt, self.recipe.similarity or "cosine")

    def _vectors(self, prompts: Sequence[Prompt], outputs: Sequence[Output]) -> list[Any]:
        """Each prompt's, or why it has none."""
        found: list[Any] = [failure(output) for output in outputs]
        places = [place for place, reason in enumerate(found) if reason is None]
        for place in places:
            found[place] = self._vector(prompts[place], outputs[place].outputs.data)
        if places:
            vectors = self.head.all([found[place] for place in places])
            for place, vector in zip(places, vectors, strict=True):
                found[place] = self._cut(vector)
        return found

    def _vector(self, prompt: Prompt, data: Any) -> Any:
        return pooled(data, len(prompt.token_ids), prompt.prompt_tokens, self.pooling, self.recipe.computed)

    def _cut(self, vector: Any) -> Any:
        """To the leading dimensions."""
        if self.recipe.dimensions is None:
            return vector
        if self.recipe.cut == "layer_norm":
            import torch

            vector = torch.layer_norm(vector, vector.shape)
        return vector[: self.recipe.dimensions]


def arguments(recipe: EmbeddingRecipe, model: ModelInfo, engine: EngineSettings) -> dict[str, Any]:
    """How vLLM pools, and a folder in which it finds no modules of its own to apply."""
    del engine
    return {"pooler_config": pooler_config(recipe.computed), **views.arguments(recipe, model)}
