"""A tiny listwise reranker with random weights, in the layout of jinaai/jina-reranker-v3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3Model

from tests.tiny_models import QWEN3_ADDED, QWEN3_SPECIAL, SEED, qwen3_tokenizer

# The publisher's code and vLLM's know both by number.
EMBED_TOKEN, RERANK_TOKEN = ("<|embed_token|>", 151_670), ("<|rerank_token|>", 151_671)
PROJECTED = 512


def make_tiny_jina_v3(folder: Path, projected: int = PROJECTED, **config: Any) -> Path:
    """A JinaForRanking of 10 million parameters, most of them embeddings: its special tokens have the real numbers.
    `config` takes the place of what config.json says.
    """
    tokenizer = listwise_tokenizer()
    described = Qwen3Config(
        vocab_size=151_936,
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=131_072,
        tie_word_embeddings=True,
        initializer_range=0.1,
        eos_token_id=tokenizer.eos_token_id,
    )
    torch.manual_seed(SEED)
    weights = {f"model.{name}": value for name, value in Qwen3Model(described).state_dict().items()}
    weights["projector.0.weight"] = torch.randn(32, 64) * 0.3
    weights["projector.2.weight"] = torch.randn(projected, 32) * 0.3
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / "model.safetensors")
    code = {"auto_map": {"AutoModel": "modeling.JinaForRanking"}}  # which the engine does without
    told = described.to_dict() | {"architectures": ["JinaForRanking"]} | code | config
    (folder / "config.json").write_text(json.dumps(told, indent=2), encoding="utf-8")
    tokenizer.save_pretrained(folder)
    return folder


def listwise_tokenizer() -> Qwen2Tokenizer:
    """As `qwen3_tokenizer`; pieces that nothing is merged to fill the places up to the special tokens' numbers."""
    learned = json.loads(qwen3_tokenizer().backend_tokenizer.to_str())["model"]
    added = [*QWEN3_SPECIAL, *QWEN3_ADDED]
    first = EMBED_TOKEN[1] - len(added)
    filled = {f"<|place_{place}|>": place for place in range(len(learned["vocab"]), first)}
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer = Qwen2Tokenizer(vocab=learned["vocab"] | filled, merges=merges, model_max_length=131_072)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in QWEN3_SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in QWEN3_ADDED])
    tokenizer.add_tokens(
        [AddedToken(token, special=True, normalized=False) for token, _ in (EMBED_TOKEN, RERANK_TOKEN)]
    )
    return tokenizer
