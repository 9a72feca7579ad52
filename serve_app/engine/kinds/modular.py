"""Cross-encoders of modules: a prompt for each pair, its pooled vector, and the head that makes one number of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serve_app.engine.head import Head, model_folder
from serve_app.engine.kinds import views
from serve_app.engine.models import ModelInfo
from serve_app.engine.outputs import Output, Task, failed, failure, scored
from serve_app.engine.pooling import pooled, pooler_config
from serve_app.engine.prompts import PairEncoder, Prompt, PromptEncoder, lower_cased
from serve_app.recipes.modular import ModularRecipe
from serve_app.recipes.recipe import Score
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.records import PairScore


class ModularProcedure:
    task: Task
    encoder: PromptEncoder

    def __init__(self, recipe: ModularRecipe, model: ModelInfo, settings: ModelSettings, tokenizer: Any) -> None:
        del settings
        assert recipe.pooling is not None, "a recipe that was completed"
        self.recipe, self.pooling, self.score = recipe, recipe.pooling, recipe.score or Score()
        self.task = "token_embed" if recipe.computed is None else "embed"
        backend = lower_cased(tokenizer.backend_tokenizer) if recipe.lower_case else tokenizer.backend_tokenizer
        token_types = "token_type_ids" in tokenizer.model_input_names
        self.encoder = PairEncoder(backend, model.max_length, token_types, recipe.query.removesuffix("{query}"))
        self.head = Head(recipe.steps or (), model_folder(model.path, model.revision))

    def pairs(self, prompts: Sequence[Prompt], outputs: Sequence[Output]) -> list[PairScore]:
        found = [
            failed(prompt, reason) if (reason := failure(output)) is not None else None
            for prompt, output in zip(prompts, outputs, strict=True)
        ]
        places = [place for place, pair in enumerate(found) if pair is None]
        vectors = [self._vector(prompts[place], outputs[place].outputs.data) for place in places]
        logits = self.head.all(vectors) if vectors else []
        for place, logit in zip(places, logits, strict=True):
            found[place] = scored(prompts[place], outputs[place], float(logit), self.score)
        return [pair for pair in found if pair is not None]

    def _vector(self, prompt: Prompt, data: Any) -> Any:
        return pooled(data, len(prompt.token_ids), prompt.prompt_tokens, self.pooling, self.recipe.computed)


def arguments(recipe: ModularRecipe, model: ModelInfo, engine: EngineSettings) -> dict[str, Any]:
    """How vLLM pools, and a folder in which it finds no modules of its own to apply."""
    del engine
    return {"pooler_config": pooler_config(recipe.computed), **views.arguments(recipe, model)}
