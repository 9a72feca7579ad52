"""Decoders: a prompt for each pair, and one raw logit of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serve_app.engine.frame_encoder import FrameEncoder
from serve_app.engine.models import ModelInfo, model_config
from serve_app.engine.outputs import Output, Task, classified
from serve_app.engine.prompts import Prompt, PromptEncoder
from serve_app.engine.tokenizer import load_tokenizer
from serve_app.recipes.decoder import DecoderRecipe, Token
from serve_app.recipes.recipe import OWN
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.errors import ConfigError
from stages.core.records import PairScore

# Whose vocabularies spell a word as it is written: byte-level BPE, and Gemma, which puts no blank before a text.
AS_WRITTEN = ("GemmaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
# vLLM gives each GPU so many rows of the head, or a multiple of it.
HEAD_ROWS = 64


class DecoderProcedure:
    """`tokens` are the ids whose logits count: the first one's, less that of the second where there is one."""

    task: Task = "classify"
    encoder: PromptEncoder

    def __init__(self, recipe: DecoderRecipe, model: ModelInfo, settings: ModelSettings, tokenizer: Any) -> None:
        self.recipe = recipe
        self.tokens = token_ids(recipe, tokenizer)
        self.encoder = FrameEncoder(tokenizer.backend_tokenizer, model.max_length, recipe, settings.instruction)

    def pairs(self, prompts: Sequence[Prompt], outputs: Sequence[Output]) -> list[PairScore]:
        return [classified(prompt, output, self.recipe.score) for prompt, output in zip(prompts, outputs, strict=True)]


def arguments(recipe: DecoderRecipe, model: ModelInfo, engine: EngineSettings) -> dict[str, Any]:
    """Original weights are causal language models: vLLM makes one row of the head, or one less another, a classifier
    when it loads them. It knows tokens by their spelling in the vocabulary.
    """
    architecture = _architecture(recipe, model)
    told = [token for token in (recipe.tokens.negative, recipe.tokens.positive) if token is not None]
    overrides = {
        "architectures": [architecture.replace("ForCausalLM", "ForSequenceClassification")],
        "classifier_from_token": _spellings(recipe, model, told, architecture, engine.tensor_parallel),
        "method": "from_2_way_softmax" if len(told) == 2 else "no_post_processing",
    }
    return {"hf_overrides": overrides, "enable_prefix_caching": engine.prefix_caching}


def token_ids(recipe: DecoderRecipe, tokenizer: Any) -> tuple[int, ...]:
    """Of the positive and, where there is one, the negative token. Raises ConfigError for what is not one token."""
    told = {"positive": recipe.tokens.positive, "negative": recipe.tokens.negative}
    return tuple(_id(recipe, name, token, tokenizer) for name, token in told.items() if token is not None)


def _id(recipe: DecoderRecipe, name: str, token: Token, tokenizer: Any) -> int:
    where = f"model.recipe {recipe.name}: tokens.{name} {token!r}"
    if isinstance(token, int):
        if token >= len(tokenizer):
            raise ConfigError(f"{where}: this model's vocabulary has {len(tokenizer)} tokens")
        ids = [token]
    else:
        ids = tokenizer.encode(token, add_special_tokens=False)
    if len(ids) != 1:
        raise ConfigError(f"{where} is {len(ids)} tokens of this model's vocabulary, and has to be one. Give its id")
    spelling = tokenizer.convert_ids_to_tokens(ids[0])
    if spelling is None or tokenizer.convert_tokens_to_ids(spelling) != ids[0]:
        raise ConfigError(f"{where}: this model's vocabulary has the id {ids[0]} under no spelling of its own")
    return ids[0]


def _architecture(recipe: DecoderRecipe, model: ModelInfo) -> str:
    if len(recipe.architectures) == 1:
        return recipe.architectures[0]
    return str(model_config(model)["architectures"][0])


def _spellings(
    recipe: DecoderRecipe, model: ModelInfo, told: Sequence[Token], architecture: str, tensor_parallel: int
) -> list[str]:
    """Published tokens are among the first rows of their vocabularies, so that any number of GPUs finds them."""
    as_written = [token for token in told if isinstance(token, str) and token.isascii() and token.isalnum()]
    published = recipe.name != OWN or tensor_parallel == 1
    if architecture in AS_WRITTEN and len(as_written) == len(told) and published:
        return as_written
    tokenizer = load_tokenizer(model)
    ids = token_ids(recipe, tokenizer)
    _require_first_rows(recipe, model, ids, tensor_parallel)
    return [str(tokenizer.convert_ids_to_tokens(one)) for one in reversed(ids)]


def _require_first_rows(recipe: DecoderRecipe, model: ModelInfo, ids: Sequence[int], tensor_parallel: int) -> None:
    """vLLM 0.32 takes a token's row from the first GPU's share of the head, whichever share the token is in."""
    rows = int(model_config(model)["vocab_size"]) // tensor_parallel
    if tensor_parallel > 1 and max(ids) >= rows - HEAD_ROWS:
        raise ConfigError(
            f"engine.tensor_parallel {tensor_parallel}: the token {max(ids)} of the recipe {recipe.name} is not in the "
            f"first GPU's share of the vocabulary ({rows} tokens), where vLLM looks for it. Use fewer GPUs for a copy"
        )
