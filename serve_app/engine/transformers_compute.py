"""A model's recipe -> what computes its prompts in Transformers, told as vLLM tells it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from serve_app.engine.batcher import Compute, DeviceLostError
from serve_app.engine.kinds.decoder import token_ids
from serve_app.engine.models import ModelInfo, model_config
from serve_app.engine.prompts import Prompt
from serve_app.engine.transformers_models import CausalModel, Classifier, Embedder, FirstStep, Row
from serve_app.recipes.cross_encoder import CrossEncoderRecipe
from serve_app.recipes.decoder import DecoderRecipe
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.modular import ModularRecipe


class Data(NamedTuple):
    """A tensor in float32, on the CPU."""

    data: Any


class Computed(NamedTuple):
    """What is read of vLLM's PoolingRequestOutput. Nothing is cached here."""

    outputs: Data
    num_cached_tokens: int = 0


def load_compute(model: ModelInfo, tokenizer: Any, dtype: str, device: str) -> Compute:
    """Loads the weights. Raises ConfigError where they are not whole, or give more than one value for a pair."""
    recipe, pad = model.recipe, tokenizer.pad_token_id
    if isinstance(recipe, CrossEncoderRecipe):
        return _told(Classifier(model, pad, dtype, device).logits, device)
    if isinstance(recipe, DecoderRecipe):
        kind = FirstStep if model_config(model).get("is_encoder_decoder") else CausalModel
        weights, tokens = kind(model, pad, dtype, device), list(token_ids(recipe, tokenizer))
        return _told(lambda rows: weights.logits(rows, tokens), device)
    if isinstance(recipe, EmbeddingRecipe | ModularRecipe):
        embedder, pooling = Embedder(model, pad, dtype, device), recipe.computed
        return _told(embedder.states if pooling is None else partial(embedder.vectors, pooling=pooling), device)
    raise AssertionError(f"describe refuses {recipe.kind if recipe else model.name} with this backend")


def _told(values: Callable[[Sequence[Row]], Any], device: str) -> Compute:
    """A GPU that has failed fails from then on, whatever it is asked; that it lacks memory passes."""
    import torch

    def compute(prompts: Sequence[Prompt]) -> list[Computed]:
        try:
            found = values([_row(prompt) for prompt in prompts])
            return [Computed(Data(one.cpu())) for one in found]
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            raise
        except torch.AcceleratorError as error:
            raise DeviceLostError(f"{device}: {error}") from error

    return compute


def _row(prompt: Prompt) -> Row:
    if prompt.second_part is None:
        return Row(prompt.token_ids)
    second = len(prompt.token_ids) - prompt.second_part
    return Row(prompt.token_ids, [0] * prompt.second_part + [1] * second)
