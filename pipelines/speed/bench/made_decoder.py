"""A Qwen3 reranker with random weights, or with none on disk, and a tokenizer that learned made-up words."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipelines.speed.bench.words import SEED, draw_words
from serve_app.recipes.bundled import bundled_recipe
from serve_app.recipes.decoder import DecoderRecipe, fill
from stages.speed.arithmetic import LayerShape

VOCABULARY = 8_000
QWEN3_VOCABULARY = 151_669  # of the published rerankers
POSITIONS, QWEN3_POSITIONS = 4_096, 40_960
TEXT_WORDS = 200_000
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|vision_start|>")
ADDED = ("<tool_call>", "</tool_call>", "<think>", "</think>")


def write_decoder(shape: LayerShape, folder: Path, *, weights: bool) -> None:
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder)
    # The one file that tells a reranker from any other Qwen3.
    (folder / "README.md").write_text("# Qwen3-Reranker-made-up\n", encoding="utf-8")
    config: Any = Qwen3Config(
        vocab_size=VOCABULARY + 64 if weights else QWEN3_VOCABULARY,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=POSITIONS if weights else QWEN3_POSITIONS,
        tie_word_embeddings=True,
        initializer_range=0.05,
        eos_token_id=tokenizer.eos_token_id,
        dtype="bfloat16",
    )
    if not weights:
        config.architectures = ["Qwen3ForCausalLM"]
        config.save_pretrained(folder)
        return
    state = torch.random.get_rng_state()
    torch.manual_seed(SEED)
    Qwen3ForCausalLM(config).to(torch.bfloat16).eval().save_pretrained(folder)
    torch.random.set_rng_state(state)


def _tokenizer() -> Any:
    """Trained behind Qwen's own normalizer and pre-tokenizer; `yes` and `no` are one token each."""
    from tokenizers import AddedToken, models, trainers
    from tokenizers.pre_tokenizers import ByteLevel
    from transformers import Qwen2Tokenizer

    learner: Any = Qwen2Tokenizer().backend_tokenizer
    learner.model = models.BPE()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=ByteLevel.alphabet(), show_progress=False, special_tokens=[]
    )
    learner.train_from_iterator(_texts(), trainer)
    learned = json.loads(learner.to_str())["model"]
    tokenizer = Qwen2Tokenizer(vocab=learned["vocab"], merges=[tuple(pair) for pair in learned["merges"]])
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in ADDED])
    return tokenizer


def _texts() -> Iterator[str]:
    """The template's words are learned too: in the real vocabulary each is one token, and it is in every prompt."""
    recipe = bundled_recipe("qwen3-reranker")
    assert isinstance(recipe, DecoderRecipe)
    values = {"instruction": recipe.instruction or "", "query": "", "document": ""}
    yield from [fill("".join((*recipe.prompt, "yes\nno\n")), values)] * 2_000
    source = random.Random(SEED)
    for _ in range(TEXT_WORDS // 200):
        yield " ".join(draw_words(source, 200))
