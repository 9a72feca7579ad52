"""Tiny Transformers with random weights and a tokenizer of their own, saved as publishers save them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers.processors import TemplateProcessing
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    BertTokenizer,
    CamembertConfig,
    CamembertForSequenceClassification,
    CamembertModel,
    LlamaConfig,
    LlamaForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    ModernBertModel,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForSequenceClassification,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3ForSequenceClassification,
    XLMRobertaConfig,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
)
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from tests.tiny_models import SEED, bert_tokenizer, qwen3_tokenizer, xlm_roberta_tokenizer

HIDDEN = 64


def bert(folder: Path, *, labels: int | None = None, positions: int = 512, tokens: int | None = None) -> Path:
    """`labels`: a classifier with so many. `tokens`: the limit that its tokenizer tells."""
    tokenizer = bert_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=positions,
        initializer_range=0.15,
        num_labels=labels or 1,
    )
    tokenizer.model_max_length = tokens or positions
    return _save(lambda: BertForSequenceClassification(config) if labels else BertModel(config), tokenizer, folder)


def cased_bert(folder: Path, *, labels: int | None = None) -> Path:
    """Its tokenizer tells capitals from small letters, as few of the demo's pieces have any."""
    bert(folder, labels=labels)
    tokenizer = BertTokenizer(vocab=bert_tokenizer().get_vocab(), do_lower_case=False, model_max_length=512)
    tokenizer.save_pretrained(folder)
    return folder


def modernbert(folder: Path, *, labels: int | None = None, positions: int = 512, tokens: int | None = None) -> Path:
    """Without token types; every second layer sees a window of 32 tokens only."""
    tokenizer = bert_tokenizer()
    config = ModernBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=2,
        max_position_embeddings=positions,
        initializer_range=0.15,
        initializer_cutoff_factor=2.0,
        local_attention=32,
        global_attn_every_n_layers=2,
        num_labels=labels or 1,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
    )
    tokenizer.model_max_length = tokens or positions
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    return _save(
        lambda: ModernBertForSequenceClassification(config) if labels else ModernBertModel(config), tokenizer, folder
    )


def xlm_roberta(folder: Path, *, labels: int | None = None) -> Path:
    """Its positions start behind the padding index: 512 tokens in 514 places."""
    return _roberta(
        XLMRobertaConfig, XLMRobertaForSequenceClassification if labels else XLMRobertaModel, folder, labels
    )


def camembert(folder: Path, *, labels: int | None = None) -> Path:
    """A RoBERTa by another name."""
    return _roberta(CamembertConfig, CamembertForSequenceClassification if labels else CamembertModel, folder, labels)


def _roberta(config_class: type, model_class: type, folder: Path, labels: int | None) -> Path:
    tokenizer = xlm_roberta_tokenizer()
    config = config_class(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=514,
        type_vocab_size=1,
        initializer_range=0.15,
        num_labels=labels or 1,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return _save(lambda: model_class(config), tokenizer, folder)


def qwen3(folder: Path, *, labels: int | None = None) -> Path:
    """As Qwen3-Embedding has it, its tokenizer ends each text with `<|endoftext|>`; as a classifier it does not."""
    tokenizer = qwen3_tokenizer()
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=32,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.1,
        num_labels=labels or 1,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id if labels else None,  # its embedding would be zero
    )
    tokenizer.model_max_length = 512
    tokenizer.padding_side = "left"
    if labels is None:
        end = "<|endoftext|>"
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=f"$A {end}", pair=f"$A {end} $B {end}", special_tokens=[(end, tokenizer.convert_tokens_to_ids(end))]
        )
    return _save(
        lambda: Qwen3ForSequenceClassification(config) if labels else Qwen3ForCausalLM(config), tokenizer, folder
    )


def qwen2_classifier(folder: Path) -> Path:
    """As mxbai-rerank-v2 is converted: one label, and no token added."""
    tokenizer = qwen3_tokenizer()
    config = Qwen2Config(**_decoder(tokenizer), num_labels=1)
    tokenizer.model_max_length = 512
    return _save(lambda: Qwen2ForSequenceClassification(config), tokenizer, folder)


def _decoder(tokenizer: Any) -> dict[str, Any]:
    """The config of a small one that is a classifier."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 512,
        "initializer_range": 0.1,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.eos_token_id,
    }


def llama(folder: Path, *, labels: int = 1) -> Path:
    """A classifier on a decoder, with Qwen's tokenizer."""
    tokenizer = qwen3_tokenizer()
    config = LlamaConfig(**_decoder(tokenizer), num_labels=labels)
    return _save(lambda: LlamaForSequenceClassification(config), tokenizer, folder)


def llama_bidirectional(folder: Path) -> Path:
    """As llama-nemotron-rerank has it: every token sees every other, and the mean of all is judged. Without its own
    code Transformers takes it for a plain Llama.
    """
    llama(folder)
    file = folder / "config.json"
    changed = {"architectures": ["LlamaBidirectionalForSequenceClassification"], "pooling": "avg"}
    file.write_text(json.dumps(json.loads(file.read_text()) | changed), encoding="utf-8")
    return folder


def _save(make: Callable[[], PreTrainedModel], tokenizer: PreTrainedTokenizerBase, folder: Path) -> Path:
    torch.manual_seed(SEED)
    make().eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
