"""Byte-level BPE by tiktoken, in a small part of the time that `tokenizers` takes, where it gives the very same tokens.

The words that a text is split into have to be the same, which is so for known expressions (`byte_pair_patterns`). What
becomes of a word is proved from the model (`byte_pair_ranks`). The tokenizer's own normalizer runs first. All that is
found out when an encoder is made, and then tried with a sample of texts. Where anything is not known, or differs, the
tokenizer does the work itself; so it does for a text that holds a token of its own, such as a run of blanks.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import tiktoken
from tokenizers import Tokenizer
from tokenizers.models import BPE

from serve_app.engine.byte_pair_patterns import GPT2, PATTERNS
from serve_app.engine.byte_pair_ranks import Ranks, byte_pair_ranks
from serve_app.engine.byte_pair_samples import samples

log = logging.getLogger(__name__)

KNOWN = frozenset(PATTERNS.values())
# A text with none of these stays as it is when it is normalized to NFC, whatever the version of Unicode. Lone
# surrogates, which `tokenizers` refuses, are among them.
CHANGEABLE = re.compile(
    "[^\0-\u02ff\u0400-\u0482\u2010-\u2027\u3001-\u3029\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff60]"
)
SURROGATE = re.compile("[\ud800-\udfff]")
# An expression that looks ahead goes back over a run of blanks, say, and gives up after a million steps.
LONGEST_CHARS = 100_000
NFC = {"type": "NFC"}


class Splitter(NamedTuple):
    """`blank_first`: a blank is put before a text that begins with none, unless it is empty."""

    pattern: str
    blank_first: bool


class BytePairs:
    """What `tokenizer` makes of texts, without special tokens, by `encode`, which makes it of normalized ones."""

    def __init__(self, tokenizer: Tokenizer, told: dict[str, Any], encode: Callable[[str], list[int]]) -> None:
        self._tokenizer, self._encode = tokenizer, encode
        splitter, normalizer = _splitter(told["pre_tokenizer"]), told["normalizer"]
        self.blank_first = splitter is not None and splitter.blank_first
        self._normalize = tokenizer.normalizer.normalize_str if normalizer else str
        self._keeps_usual = normalizer in (None, NFC)
        # Runs of blanks, say, that are tokens whatever is around them.
        own = "|".join(re.escape(token["content"]) for token in told["added_tokens"])
        self._own = re.compile(own) if own else None

    def ids(self, text: str) -> list[int]:
        if len(text) > LONGEST_CHARS or (self._own and self._own.search(text)):
            return self.by_itself(text)
        normal = text
        if not text.isascii() and CHANGEABLE.search(text):
            if SURROGATE.search(text):
                return self.by_itself(text)
            normal = self._normalize(text)
        elif not self._keeps_usual:
            normal = self._normalize(text)
        if self._own and normal is not text and self._own.search(normal):
            return self.by_itself(text)
        if self.blank_first and normal and not normal.startswith(" "):
            normal = f" {normal}"
        return self._encode(normal)

    def by_itself(self, text: str) -> list[int]:
        """What the tokenizer gives."""
        # In a batch of one, since that lets other threads of Python go on.
        (encoding,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
        ids: list[int] = encoding.ids
        return ids


def byte_pairs(tokenizer: Tokenizer) -> BytePairs | None:
    """None where tiktoken is not known to give the same as `tokenizer`, which knows no special tokens but blanks."""
    if not isinstance(tokenizer.model, BPE) or "ByteLevel" not in str(tokenizer.pre_tokenizer):
        return None
    told = json.loads(tokenizer.to_str())
    splitter = _splitter(told["pre_tokenizer"])
    if splitter is None or not _known_normalizer(told["normalizer"]) or told["truncation"] or told["padding"]:
        return None
    ranks = byte_pair_ranks(told["model"], tokenizer.model)
    if ranks is None:
        return None
    found = BytePairs(tokenizer, told, _encoder(splitter.pattern, ranks))
    difference = first_difference(found)
    if difference is not None:
        log.debug("tiktoken is not used: it gives other tokens than the tokenizer for %r", difference)
        return None
    return found


def first_difference(pairs: BytePairs) -> str | None:
    """A sample of which tiktoken makes other tokens than the tokenizer."""
    return next((text for text in samples() if pairs.ids(text) != pairs.by_itself(text)), None)


def _splitter(told: dict[str, Any] | None) -> Splitter | None:
    """None for what is not known to give the same words in both libraries."""
    match told:
        case {"type": "ByteLevel", "use_regex": True, "add_prefix_space": bool(blank_first)}:
            return Splitter(GPT2, blank_first)
        case {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
                {"type": "ByteLevel", "use_regex": False, "add_prefix_space": False},
            ],
        } if pattern in KNOWN:
            return Splitter(pattern, False)
    return None


def _known_normalizer(told: dict[str, Any] | None) -> bool:
    """Whether it changes each character by itself, or with the marks that follow it."""
    match told:
        case {"type": "Sequence", "normalizers": [*steps]}:
            return all(map(_known_normalizer, steps))
    return told in (None, NFC, {"type": "Lowercase"})


def _encoder(pattern: str, ranks: Ranks) -> Callable[[str], list[int]]:
    encode = tiktoken.Encoding("plain", pat_str=pattern, mergeable_ranks=ranks.of, special_tokens={}).encode_ordinary
    if ranks.ids is None:
        return encode
    id_of = ranks.ids.__getitem__
    return lambda text: list(map(id_of, encode(text)))
