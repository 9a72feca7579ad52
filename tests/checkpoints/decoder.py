"""Causal language models whose logit of one or two tokens is the score: Qwen3, Qwen2, Gemma, Mistral and Llama, in the
layouts that rerankers are published in. Random weights, the same at every run; tokenizers as Transformers builds them.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import AddedToken, models, trainers
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    GemmaConfig,
    GemmaForCausalLM,
    GemmaTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaTokenizer,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerBase,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Tokenizer,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from tests.tiny_models import QWEN3_ADDED, QWEN3_SPECIAL, SEED, demo_texts
from tests.tokenizer_kinds import blank_pieces

Architecture = Literal["qwen3", "qwen2", "gemma", "mistral", "llama"]
MODELS: dict[Architecture, Any] = {
    "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM),
    "gemma": (GemmaConfig, GemmaForCausalLM),
    "mistral": (MistralConfig, MistralForCausalLM),
    "llama": (LlamaConfig, LlamaForCausalLM),
}
VOCABULARY = 3_000
# Words that models answer with.
ANSWERS = ("yes", "no", "Yes", "No")
# Files that sentence-transformers 6.2 writes for a causal model with a chat template and a LogitScore.
MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.transformer.Transformer"},
    {
        "idx": 1,
        "name": "1",
        "path": "1_LogitScore",
        "type": "sentence_transformers.cross_encoder.modules.logit_score.LogitScore",
    },
]
FORWARD = {"method": "forward", "method_output_name": "logits"}
TRANSFORMER: dict[str, Any] = {
    "transformer_task": "text-generation",
    "modality_config": {"text": FORWARD, "message": FORWARD | {"format": "flat"}},
    "module_output_name": "causal_logits",
    "processing_kwargs": {"chat_template": {"add_generation_prompt": True}},
}


def make_decoder(folder: Path, architecture: Architecture, *, tied: bool = True, max_length: int = 1024) -> Path:
    """A causal model of a million weights and what its vocabulary needs. `tied`: the head is the embedding."""
    tokenizer = tokenizer_of(architecture)
    config_class, model_class = MODELS[architecture]
    config = config_class(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,  # the smallest that attention on a CPU takes
        max_position_embeddings=max_length,
        tie_word_embeddings=tied,
        initializer_range=0.15,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(SEED)
    model_class(config).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def add_logit_score(
    folder: Path,
    template: str,
    true_token_id: int,
    false_token_id: int | None,
    activation: str = "torch.nn.modules.linear.Identity",
    **settings: Any,
) -> Path:
    """What makes the model in `folder` a CrossEncoder of sentence-transformers. `settings` are further ones of
    config_sentence_transformers.json.
    """
    (folder / "1_LogitScore").mkdir(exist_ok=True)
    written: dict[str, Any] = {
        "modules.json": MODULES,
        "1_LogitScore/config.json": {"true_token_id": true_token_id, "false_token_id": false_token_id},
        "sentence_bert_config.json": TRANSFORMER,
        "config_sentence_transformers.json": {
            "__version__": {"sentence_transformers": "5.4.0"},
            "activation_fn": activation,
            "default_prompt_name": None,
            "model_type": "CrossEncoder",
            "prompts": {},
        }
        | settings,
    }
    for name, content in written.items():
        (folder / name).write_text(json.dumps(content, indent=2), encoding="utf-8")
    (folder / "chat_template.jinja").write_text(template, encoding="utf-8")
    file = folder / "tokenizer_config.json"
    tokenizer_config = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(json.dumps(tokenizer_config | {"padding_side": "left"}), encoding="utf-8")
    return folder


def tokenizer_of(architecture: Architecture) -> PreTrainedTokenizerBase:
    if architecture in ("qwen3", "qwen2"):
        return _qwen()
    vocabulary, merges = blank_pieces()
    # Gemma answers `yes`, the others `▁yes`.
    answers = [pair for answer in ANSWERS for pair in (*_spelled(answer), ("▁", answer))]
    pieces = dict.fromkeys([*vocabulary, *("".join(pair) for pair in answers)])
    tokenizer_class = GemmaTokenizer if architecture == "gemma" else LlamaTokenizer
    tokenizer = tokenizer_class(
        vocab={piece: place for place, piece in enumerate(pieces)},
        merges=[*dict.fromkeys([*answers, *merges])],
        add_bos_token=True,
        pad_token="<pad>" if architecture == "gemma" else "</s>",
    )
    if architecture == "gemma":
        runs = ["\n" * number for number in range(1, 6)]
        tokenizer.add_tokens([AddedToken(run, special=False, normalized=False) for run in runs])
    return tokenizer


def _spelled(word: str) -> list[tuple[str, str]]:
    """The merges that make one piece of it."""
    return [(word[:size], word[size]) for size in range(1, len(word))]


@cache
def _qwen_pieces() -> tuple[dict[str, int], list[tuple[str, str]]]:
    learner = Qwen2Tokenizer().backend_tokenizer
    learner.model = models.BPE()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=ByteLevel.alphabet(), show_progress=False)
    learner.train_from_iterator([*demo_texts(), *["\n".join(ANSWERS)] * 100], trainer)
    learned = json.loads(learner.to_str())["model"]
    return learned["vocab"], [tuple(pair) for pair in learned["merges"]]


def _qwen() -> Qwen2Tokenizer:
    vocabulary, merges = _qwen_pieces()
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=merges)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in QWEN3_SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in QWEN3_ADDED])
    return tokenizer
