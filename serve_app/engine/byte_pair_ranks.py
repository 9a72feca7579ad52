"""A byte-level BPE model as ranks of byte strings, where merging by these ranks gives the very same tokens.

`tokenizers` merges the pair of tokens that comes first in its list of merges; tiktoken the two whose bytes together
have the lowest rank, whatever pair they are. Both go on from one state to the next in the same way, so they agree as
long as they see the same pairs, in the same order:

* Two tokens L and R stand side by side only where merging the bytes of L+R alone came to L and R: what is around them
  has changed nothing between two ends that were never merged away. So for each token T only one pair is ever seen, the
  last one that merging T's bytes alone comes to. tiktoken merges it where T has a rank, `tokenizers` if it is listed.
* Where merging T's bytes alone gives T, it is listed. Where that stops at three tokens or more, no pair for T is ever
  seen. Where it stops at two, they are a pair that tiktoken alone would merge: T must have no rank.
* The order is the same where all merges that give one token stand together in the list: its rank is their place.

Of a word that is a token tiktoken makes that token at once, as `tokenizers` does with `ignore_merges`. Without, what
merges do not come to gets no rank.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import lt
from typing import Any, NamedTuple

from tokenizers.models import BPE

# How byte-level vocabularies spell the bytes (openai/gpt-2, encoder.py: bytes_to_unicode).
PRINTED = [*range(33, 127), *range(161, 173), *range(174, 256)]
BYTE_OF = {byte: byte for byte in PRINTED} | {
    256 + place: byte for place, byte in enumerate(byte for byte in range(256) if byte not in set(PRINTED))
}


class Ranks(NamedTuple):
    """`of`: byte string -> rank. `ids`: rank -> token; None: they are the same."""

    of: dict[bytes, int]
    ids: list[int] | None


def byte_pair_ranks(told: dict[str, Any], model: BPE) -> Ranks | None:
    """None where they would not do. `told` is the model as JSON; `model`, the same, is asked, and left as it was."""
    if any(told[name] for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix")):
        return None
    vocabulary: dict[str, int] = told["vocab"]
    letters = [chr(letter) for letter in BYTE_OF]
    merged = _merged(told["merges"])
    if merged is None or not {*letters, *merged} <= vocabulary.keys():
        return None
    if told["ignore_merges"]:
        ordered = [*merged, *_spelled(vocabulary.keys() - merged.keys() - set(letters))]
        if 2 in _pieces(model, ordered):
            return None
    else:
        ordered = [token for token, pieces in zip(merged, _pieces(model, merged), strict=True) if pieces == 1]
    return _ranks([*letters, *ordered], vocabulary)


def _merged(merges: Iterable[Sequence[str]]) -> dict[str, None] | None:
    """What merges give, each once, in their order; None where those to one token do not stand together."""
    found: dict[str, None] = {}
    last = ""
    for left, right in merges:
        token = left + right
        if token != last:
            if token in found:
                return None
            found[token] = None
            last = token
    return found


def _spelled(tokens: Iterable[str]) -> list[str]:
    """Those that are bytes."""
    letters = "".join(map(chr, BYTE_OF))
    return sorted(token for token in tokens if token and not token.strip(letters))


def _pieces(model: BPE, tokens: Iterable[str]) -> list[int]:
    """How many tokens the merges alone make of each."""
    whole_words = model.ignore_merges
    model.ignore_merges = False
    try:
        return [len(model.tokenize(token)) for token in tokens]
    finally:
        model.ignore_merges = whole_words
        model._clear_cache()  # it keeps the first words that it sees, and shall keep those of texts


def _ranks(ordered: Sequence[str], vocabulary: dict[str, int]) -> Ranks | None:
    ids = [vocabulary[token] for token in ordered]
    if len(set(ids)) != len(ids):
        return None
    spelled = [token.translate(BYTE_OF).encode("latin-1") for token in ordered]
    longer = ids[len(BYTE_OF) :]
    if all(map(lt, longer, longer[1:])):
        return Ranks(dict(zip(spelled, ids, strict=True)), None)
    return Ranks({token: rank for rank, token in enumerate(spelled)}, ids)
