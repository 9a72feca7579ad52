"""Tiny late-interaction models with random weights, in the layouts that their publishers chose.

* Stanford's: `HF_ColBERT` over BERT, the projection beside the encoder's weights, settings in artifact.metadata
  (colbert-ir/colbertv2.0, answerdotai/answerai-colbert-small-v1)
* PyLate's: [Transformer, Dense] in modules.json, settings in config_sentence_transformers.json
  (lightonai/GTE-ModernColBERT-v1)
* Jina's: Stanford's over another encoder (jinaai/jina-colbert-v2)
"""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    BertTokenizer,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedTokenizerFast,
)

from tests.tiny_models import BERT_SPECIAL, SEED, bert_tokenizer, qwen3_tokenizer, xlm_roberta_tokenizer

STANFORD_METADATA = {
    "query_token_id": "[unused0]",
    "doc_token_id": "[unused1]",
    "query_token": "[Q]",
    "doc_token": "[D]",
    "dim": 48,
    "similarity": "cosine",
    "interaction": "colbert",
    "query_maxlen": 32,
    "doc_maxlen": 80,
    "attend_to_mask_tokens": False,
    "mask_punctuation": True,
}
PYLATE_SETTINGS = {
    "__version__": {"sentence_transformers": "4.0.2", "transformers": "4.48.2", "pytorch": "2.5.1"},
    "prompts": {},
    "default_prompt_name": None,
    "similarity_fn_name": "MaxSim",
    "query_prefix": "[Q] ",
    "document_prefix": "[D] ",
    "query_length": 32,
    "document_length": 90,
    "attend_to_expansion_tokens": False,
    "skiplist_words": list(string.punctuation),
}


def make_stanford_colbert(folder: Path, **metadata: Any) -> Path:
    """ColBERTv2's layout. `metadata` takes the place of what artifact.metadata says."""
    tokenizer = _bert_with_markers()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=512,
        initializer_range=0.15,
    )
    config.architectures = ["HF_ColBERT"]
    torch.manual_seed(SEED)
    encoder = BertModel(config, add_pooling_layer=False).eval()
    weights = {f"bert.{name}": value for name, value in encoder.state_dict().items() if "position_ids" not in name}
    weights["linear.weight"] = torch.randn(STANFORD_METADATA["dim"], config.hidden_size) * 0.15
    folder.mkdir(exist_ok=True)
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_dict() | {"architectures": ["HF_ColBERT"]}))
    (folder / "artifact.metadata").write_text(json.dumps(STANFORD_METADATA | metadata, indent=2))
    tokenizer.save_pretrained(folder)
    return folder


def make_modern_colbert(folder: Path, **settings: Any) -> Path:
    """GTE-ModernColBERT's layout. `settings` take the place of what config_sentence_transformers.json says."""
    tokenizer = _modern_bert_tokenizer()
    config = ModernBertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=1024,
        local_attention=32,
        initializer_range=0.15,
        initializer_cutoff_factor=3.0,
        pad_token_id=tokenizer.pad_token_id,
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
    )
    torch.manual_seed(SEED)
    ModernBertModel(config).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _add_pylate_modules(folder, config.hidden_size, PYLATE_SETTINGS | settings)
    return folder


def make_pylate_bert(folder: Path, **settings: Any) -> Path:
    """A BERT that PyLate trained from a plain encoder."""
    tokenizer = _bert_with_markers()
    tokenizer.add_tokens([AddedToken(token, special=False) for token in ("[Q] ", "[D] ")])
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=512,
        initializer_range=0.15,
    )
    torch.manual_seed(SEED)
    BertModel(config, add_pooling_layer=False).eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    _add_pylate_modules(folder, config.hidden_size, PYLATE_SETTINGS | settings)
    return folder


def _add_pylate_modules(folder: Path, hidden: int, settings: dict[str, Any]) -> None:
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules, indent=2))
    (folder / "config_sentence_transformers.json").write_text(json.dumps(settings, indent=2))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 299, "do_lower_case": False}))
    dense = folder / "1_Dense"
    dense.mkdir()
    told = {"in_features": hidden, "out_features": 48, "bias": False}
    told["activation_function"] = "torch.nn.modules.linear.Identity"
    (dense / "config.json").write_text(json.dumps(told))
    save_file({"linear.weight": torch.randn(48, hidden) * 0.15}, dense / "model.safetensors")


def _bert_with_markers() -> BertTokenizer:
    """As bert-base-uncased has them, `[unused0]` and `[unused1]` are pieces and no added tokens."""
    known = bert_tokenizer().get_vocab()
    pieces = sorted((piece for piece in known if piece not in BERT_SPECIAL), key=known.__getitem__)
    pieces += [sign for sign in string.punctuation if sign not in known]
    vocabulary = ["[PAD]", "[unused0]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *pieces]
    return BertTokenizer(vocab={piece: index for index, piece in enumerate(vocabulary)}, model_max_length=512)


def _modern_bert_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE that splits as GPT-2 does, with BERT's special tokens, and PyLate's markers added."""
    learned = json.loads(qwen3_tokenizer().backend_tokenizer.to_str())["model"]
    merges = [tuple(pair) for pair in learned["merges"]]
    tokenizer = Tokenizer(models.BPE(vocab=learned["vocab"], merges=merges))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in BERT_SPECIAL])
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        pad_token="[PAD]",
        unk_token="[UNK]",
        model_max_length=299,
        model_input_names=["input_ids", "attention_mask"],
    )
    fast.add_tokens([AddedToken(token, normalized=True, special=False) for token in ("[Q] ", "[D] ")])
    return fast


def make_jina_colbert(folder: Path, **metadata: Any) -> Path:
    """jina-colbert-v2's layout: Stanford's, over Jina's XLM-RoBERTa with rotary positions, whose config is code."""
    tokenizer = xlm_roberta_tokenizer()
    markers = ("[QueryMarker]", "[DocumentMarker]")
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in markers])
    config = JINA_CONFIG | {"vocab_size": len(tokenizer)}
    hidden, inner = JINA_CONFIG["hidden_size"], JINA_CONFIG["intermediate_size"]
    torch.manual_seed(SEED)
    weights = {
        "roberta.embeddings.word_embeddings.weight": _random(len(tokenizer), hidden),
        "roberta.embeddings.token_type_embeddings.weight": _random(1, hidden),
        **_norm("roberta.emb_ln", hidden),
        "linear.weight": _random(48, hidden),
    }
    for layer in range(JINA_CONFIG["num_hidden_layers"]):
        place = f"roberta.encoder.layers.{layer}"
        weights |= _linear(f"{place}.mixer.Wqkv", hidden, 3 * hidden) | _linear(
            f"{place}.mixer.out_proj", hidden, hidden
        )
        weights |= _linear(f"{place}.mlp.fc1", hidden, inner) | _linear(f"{place}.mlp.fc2", inner, hidden)
        weights |= _norm(f"{place}.norm1", hidden) | _norm(f"{place}.norm2", hidden)
    folder.mkdir(exist_ok=True)
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    (folder / "configuration_xlm_roberta.py").write_text(JINA_CODE, encoding="utf-8")
    told = STANFORD_METADATA | {"query_token_id": markers[0], "doc_token_id": markers[1]}
    told |= {"attend_to_mask_tokens": True} | metadata
    (folder / "artifact.metadata").write_text(json.dumps(told, indent=2), encoding="utf-8")
    tokenizer.save_pretrained(folder)
    return folder


JINA_CONFIG: dict[str, Any] = {
    "architectures": ["HF_ColBERT"],
    "auto_map": {"AutoConfig": "configuration_xlm_roberta.XLMRobertaFlashConfig"},
    "model_type": "xlm-roberta",
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "hidden_act": "gelu",
    "max_position_embeddings": 8194,
    "type_vocab_size": 1,
    "layer_norm_eps": 1e-5,
    "position_embedding_type": "rotary",
    "rotary_emb_base": 20_000.0,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
# Of the publisher's own class the engine reads these.
JINA_CODE = """
from transformers import PretrainedConfig


class XLMRobertaFlashConfig(PretrainedConfig):
    model_type = "xlm-roberta"

    def __init__(self, lora_rank=4, lora_alpha=1, **told):
        super().__init__(**told)
        self.lora_rank, self.lora_alpha = lora_rank, lora_alpha
"""


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape) * 0.15


def _linear(name: str, inputs: int, outputs: int) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": _random(outputs, inputs), f"{name}.bias": _random(outputs)}


def _norm(name: str, width: int) -> dict[str, torch.Tensor]:
    return {f"{name}.weight": 1 + _random(width), f"{name}.bias": _random(width)}
