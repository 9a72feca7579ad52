"""What an engine computes of prompts, computed by Transformers alone, one prompt after the other."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from transformers import AutoModel, AutoModelForSequenceClassification

from serve_app.engine.models import ModelInfo
from serve_app.engine.procedure import Procedure
from serve_app.engine.prompts import Prompt
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.modular import ModularRecipe


def computed(model: ModelInfo, procedure: Procedure, prompts: Sequence[Prompt]) -> list[Any]:
    """One output for each prompt, as vLLM tells it."""
    recipe = model.recipe
    if procedure.task == "classify":
        classifier = AutoModelForSequenceClassification.from_pretrained(model.path)
        return [_output(_run(classifier, prompt).logits[0]) for prompt in prompts]
    assert isinstance(recipe, EmbeddingRecipe | ModularRecipe)
    encoder = AutoModel.from_pretrained(model.path)
    states = [_run(encoder, prompt).last_hidden_state[0] for prompt in prompts]
    pool = {"cls": lambda one: one[0], "mean": lambda one: one.mean(0), "last": lambda one: one[-1]}
    return [_output(one if recipe.computed is None else pool[recipe.computed](one)) for one in states]


def _run(model: Any, prompt: Prompt) -> Any:
    inputs = {"input_ids": torch.tensor([prompt.token_ids])}
    if prompt.second_part is not None:
        inputs["token_type_ids"] = (torch.arange(len(prompt.token_ids)) >= prompt.second_part).long()[None]
    with torch.inference_mode():
        return model(**inputs)


def _output(data: torch.Tensor) -> Any:
    return SimpleNamespace(outputs=SimpleNamespace(data=data), num_cached_tokens=0)
