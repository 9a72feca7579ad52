"""Byte-level tokenizers as published ones are made, over a small vocabulary learned from the demo collection."""

from __future__ import annotations

import json
import random
from functools import cache
from typing import Any

from tokenizers import Tokenizer

from serve_app.engine.byte_pair_patterns import PATTERNS
from serve_app.engine.byte_pair_ranks import BYTE_OF
from tests.tiny_models import qwen3_tokenizer

LETTERS = [chr(letter) for letter in BYTE_OF]


@cache
def learned_merges() -> tuple[tuple[str, str], ...]:
    model = json.loads(qwen3_tokenizer().backend_tokenizer.to_str())["model"]
    return tuple((left, right) for left, right in model["merges"])


def splitter(pattern: str) -> dict[str, Any]:
    split = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    return {"type": "Sequence", "pretokenizers": [split, byte_level(use_regex=False)]}


def byte_level(*, use_regex: bool = True, blank_first: bool = False) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": blank_first, "trim_offsets": True, "use_regex": use_regex}


def bpe(merges: list[tuple[str, str]], ids: dict[str, int] | None = None, **more: Any) -> dict[str, Any]:
    """A model of these merges; `ids` of its tokens are counted where they are not given."""
    tokens = dict.fromkeys([*LETTERS, *(left + right for left, right in merges)])
    vocabulary = ids or {token: place for place, token in enumerate(tokens)}
    none = dict.fromkeys(("dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix"))
    switches = dict.fromkeys(("fuse_unk", "byte_fallback", "ignore_merges"), False)
    return {"type": "BPE", **none, **switches, "vocab": vocabulary, "merges": merges} | more


def described(
    model: dict[str, Any], pre_tokenizer: dict[str, Any], normalizer: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A tokenizer.json."""
    rest: dict[str, Any] = {"truncation": None, "padding": None, "post_processor": None, "decoder": None}
    return {
        "version": "1.0",
        "added_tokens": [],
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "model": model,
        **rest,
    } | more


def all_splits(merges: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each token's merges of any two tokens, as they are written of a vocabulary that was learned without a list."""
    tokens = dict.fromkeys([*LETTERS, *(left + right for left, right in merges)])
    return [
        (token[:at], token[at:])
        for token in tokens
        for at in range(1, len(token))
        if token[:at] in tokens and token[at:] in tokens
    ]


def added(token: int, content: str) -> dict[str, Any]:
    switches = dict.fromkeys(("single_word", "lstrip", "rstrip"), False)
    return {"id": token, "content": content, **switches, "normalized": True, "special": False}


def _modernbert() -> dict[str, Any]:
    """Ids that do not follow the merges, and runs of blanks that are tokens of their own."""
    merges = list(learned_merges())
    tokens = [*LETTERS, *(left + right for left, right in merges)]
    ids = list(range(len(tokens)))
    random.Random(3).shuffle(ids)
    model = bpe(merges, dict(zip(tokens, ids, strict=True)))
    runs = [added(len(tokens) + blanks, " " * blanks) for blanks in range(24, 1, -1)]
    return described(model, byte_level(), {"type": "NFC"}, added_tokens=runs[::-1])


def descriptions() -> dict[str, dict[str, Any]]:
    learned = bpe(list(learned_merges()))
    listed = bpe(all_splits(list(learned_merges())), learned["vocab"], ignore_merges=True)
    nfc, lower = {"type": "NFC"}, {"type": "Lowercase"}
    return {
        "gpt-2": described(learned, byte_level()),
        "roberta": described(learned, byte_level(blank_first=True)),
        "modernbert": _modernbert(),
        "qwen2": described(learned, splitter(PATTERNS["qwen2"]), nfc),
        "qwen3.5": described(learned, splitter(PATTERNS["qwen3.5"]), nfc),
        "llama-3": described(listed, splitter(PATTERNS["llama-3"])),
        "o200k": described(listed, splitter(PATTERNS["o200k"])),
        "tekken": described(listed, splitter(PATTERNS["tekken"])),
        "lower case": described(
            learned, splitter(PATTERNS["qwen2"]), {"type": "Sequence", "normalizers": [lower, nfc]}
        ),
    }


BYTE_LEVEL = ("gpt-2", "roberta", "modernbert", "qwen2", "qwen3.5", "llama-3", "o200k", "tekken", "lower case")


@cache
def byte_level_tokenizer(name: str) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(descriptions()[name]))
