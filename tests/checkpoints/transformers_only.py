"""Tiny models with random weights of architectures that vLLM lacks, or computes wrong, in their published layouts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    AlbertTokenizer,
    CamembertConfig,
    CamembertForSequenceClassification,
    CamembertTokenizer,
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    DebertaV2Tokenizer,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    DistilBertTokenizer,
    MPNetConfig,
    MPNetForSequenceClassification,
    MPNetModel,
    MPNetTokenizer,
    T5Config,
    T5EncoderModel,
    T5ForConditionalGeneration,
    T5Tokenizer,
)

from tests.checkpoints.backbones import HIDDEN
from tests.tiny_models import SEED, bert_tokenizer, xlm_roberta_tokenizer

SIZES: dict[str, Any] = {"hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128, "num_hidden_layers": 2}
SPREAD = 0.15


def make_deberta(folder: Path) -> Path:
    """As mxbai-rerank-v1: positions are relative, so that none limits a text but the tokenizer's word."""
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    tokenizer = DebertaV2Tokenizer(vocab=_unigram(special, ["[MASK]"]), unk_id=3, model_max_length=512)
    config = DebertaV2Config(
        vocab_size=len(tokenizer),
        **SIZES,
        max_position_embeddings=512,
        relative_attention=True,
        position_buckets=32,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        type_vocab_size=0,
        initializer_range=SPREAD,
        num_labels=1,
    )
    return _save(DebertaV2ForSequenceClassification, config, tokenizer, folder)


def make_mpnet(folder: Path) -> Path:
    """A cross-encoder whose positions begin behind the padding's, as RoBERTa's do."""
    tokenizer = mpnet_tokenizer()
    config = MPNetConfig(vocab_size=len(tokenizer), **SIZES, **_after_padding(), initializer_range=SPREAD, num_labels=1)
    return _save(MPNetForSequenceClassification, config, tokenizer, folder)


def make_mpnet_embedding(folder: Path) -> Path:
    """As all-mpnet-base-v2: mean, normalized, and less read than the positions allow."""
    tokenizer = mpnet_tokenizer()
    config = MPNetConfig(vocab_size=len(tokenizer), **SIZES, **_after_padding(), initializer_range=SPREAD)
    _save(MPNetModel, config, tokenizer, folder)
    kinds = {"0": ("", "Transformer"), "1": ("1_Pooling", "Pooling"), "2": ("2_Normalize", "Normalize")}
    modules = [
        {"idx": int(name), "name": name, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for name, (path, kind) in kinds.items()
    ]
    pooling = {"word_embedding_dimension": SIZES["hidden_size"], "pooling_mode_mean_tokens": True}
    _write(folder / "modules.json", modules)
    _write(folder / "1_Pooling" / "config.json", pooling | {"pooling_mode_cls_token": False})
    _write(folder / "sentence_bert_config.json", {"max_seq_length": 384, "do_lower_case": False})
    return folder


def make_distilbert(folder: Path) -> Path:
    """A cross-encoder without token types, with a tokenizer that numbers the parts all the same."""
    source = json.loads(bert_tokenizer().backend_tokenizer.to_str())["model"]["vocab"]
    tokenizer = DistilBertTokenizer(vocab=source, model_max_length=512)
    config = DistilBertConfig(
        vocab_size=len(tokenizer),
        dim=64,
        n_heads=4,
        hidden_dim=128,
        n_layers=2,
        max_position_embeddings=512,
        initializer_range=SPREAD,
        num_labels=1,
    )
    return _save(DistilBertForSequenceClassification, config, tokenizer, folder)


def make_albert(folder: Path) -> Path:
    """A cross-encoder whose layers share their weights."""
    tokenizer = AlbertTokenizer(vocab=_unigram(["<pad>", "<unk>", "[CLS]", "[SEP]"], ["[MASK]"]), model_max_length=512)
    config = AlbertConfig(
        vocab_size=len(tokenizer),
        embedding_size=32,
        **SIZES,
        max_position_embeddings=512,
        initializer_range=SPREAD,
        num_labels=1,
    )
    return _save(AlbertForSequenceClassification, config, tokenizer, folder)


def make_camembert(folder: Path) -> Path:
    """A cross-encoder whose positions begin behind the padding's."""
    special = ["<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED", "<s>", "</s>"]
    tokenizer = CamembertTokenizer(vocab=_unigram(special, ["<mask>"]), model_max_length=512)
    config = CamembertConfig(
        vocab_size=len(tokenizer),
        **SIZES,
        **_after_padding(),
        type_vocab_size=1,
        initializer_range=SPREAD,
        num_labels=1,
    )
    return _save(CamembertForSequenceClassification, config, tokenizer, folder)


def make_monot5(folder: Path) -> Path:
    """As castorini/monot5-base-msmarco: T5, which answers with `true` or `false`, each one piece."""
    pieces = _unigram(["<pad>", "</s>", "<unk>"], [])
    tokenizer = T5Tokenizer(vocab=[*pieces, ("▁true", -3.0), ("▁false", -3.0)], extra_ids=0, model_max_length=512)
    config = T5Config(
        vocab_size=len(tokenizer),
        d_model=64,
        d_kv=16,
        d_ff=128,
        num_layers=2,
        num_heads=4,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
        initializer_factor=1.0,
    )
    return _save(T5ForConditionalGeneration, config, tokenizer, folder)


def make_t5_encoder(folder: Path) -> Path:
    """The backbone of sentence-t5: the encoder alone."""
    tokenizer = T5Tokenizer(vocab=_unigram(["<pad>", "</s>", "<unk>"], []), extra_ids=0, model_max_length=256)
    config = T5Config(vocab_size=len(tokenizer), d_model=HIDDEN, d_kv=16, d_ff=128, num_layers=2, num_heads=4)
    return _save(T5EncoderModel, config, tokenizer, folder)


def mpnet_tokenizer() -> MPNetTokenizer:
    """BERT's pieces among the special tokens of RoBERTa."""
    pieces = list(json.loads(bert_tokenizer().backend_tokenizer.to_str())["model"]["vocab"])[5:]
    vocabulary = ["<s>", "<pad>", "</s>", "[UNK]", *pieces, "<mask>"]
    return MPNetTokenizer(vocab={piece: place for place, piece in enumerate(vocabulary)}, model_max_length=512)


def _after_padding() -> dict[str, Any]:
    """Of 514 positions texts have 512."""
    return {"max_position_embeddings": 514, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}


def _unigram(before: list[str], behind: list[str]) -> list[tuple[str, float]]:
    """The pieces of the XLM-RoBERTa tokenizer among other special tokens."""
    learned = xlm_roberta_tokenizer()
    pieces = json.loads(learned.backend_tokenizer.to_str())["model"]["vocab"]
    own = set(learned.all_special_tokens)
    plain = [(piece, score) for piece, score in pieces if piece not in own]
    return [*((token, 0.0) for token in before), *plain, *((token, 0.0) for token in behind)]


def _write(file: Path, content: Any) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content), encoding="utf-8")


def _save(kind: Any, config: Any, tokenizer: Any, folder: Path) -> Path:
    torch.manual_seed(SEED)
    kind(config).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
