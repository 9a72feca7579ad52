"""Embedding models: a prompt for the query and one for each document, and the similarity of their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from serve_app.engine.head import Head, model_folder
from serve_app.engine.kinds import views
from serve_app.engine.models import ModelInfo
from serve_app.engine.outputs import Output, Task, failed, failure
from serve_app.engine.pooling import pooled, pooler_config
from serve_app.engine.prompts import Prompt, PromptEncoder, TextEncoder, lower_cased
from serve_app.engine.vectors import Vector, similar
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.records import PairScore

NO_DIRECTION = "the engine returned an embedding of length zero"


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
        """`outputs` may be vectors, or why there are none, as `vectors` gives them."""
        query, *documents = self.vectors(prompts, outputs)
        if isinstance(query, str):
            return [failed(prompt, query) for prompt in prompts[1:]]
        rows = [one.values for one in documents if isinstance(one, Vector)]
        values = iter(similar(query.values, np.stack(rows), self.recipe.similarity or "cosine") if rows else ())
        return [
            failed(prompt, one) if isinstance(one, str) else _pair(next(values), prompt, one.known)
            for prompt, one in zip(prompts[1:], documents, strict=True)
        ]

    def vectors(self, prompts: Sequence[Prompt], outputs: Sequence[Output]) -> list[Vector | str]:
        """Each prompt's, or why it has none."""
        found = [output if isinstance(output, Vector) else failure(output) for output in outputs]
        places = [place for place, one in enumerate(found) if one is None]
        if places:
            rows = self.head.all([self._vector(prompts[place], outputs[place].outputs.data) for place in places])
            for place, row in zip(places, rows, strict=True):
                found[place] = Vector(self._cut(row).numpy())
        return [one for one in found if one is not None]

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


def _pair(value: float | None, prompt: Prompt, known: bool) -> PairScore:
    if value is None:
        return failed(prompt, NO_DIRECTION)
    read = len(prompt.token_ids)
    return PairScore(value, prompt_tokens=read, cached_tokens=read if known else 0, truncated=prompt.truncated)
