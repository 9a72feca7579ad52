"""Where a model's merges are ranks, merging by rank gives what merging in order gives: tried with vocabularies of any
shape, most of which nobody would learn.
"""

from __future__ import annotations

import json

import tiktoken
from hypothesis import event, given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from serve_app.engine.byte_pair_ranks import byte_pair_ranks
from tests.byte_level_tokenizers import LETTERS, all_splits, bpe
from tests.examples import examples

WORDS = st.text(alphabet="abc", min_size=1, max_size=14)


@st.composite
def merges(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Of tokens that there are by then, or of any; each gives another token, or not."""
    found: list[tuple[str, str]] = []
    tokens = ["a", "b", "c"]
    for _ in range(draw(st.integers(1, 14))):
        pair = (draw(st.sampled_from(tokens)), draw(st.sampled_from(tokens)))
        if pair not in found and len("".join(pair)) <= 8:
            found.append(pair)
            tokens.append("".join(pair))
    return draw(st.permutations(found)) if draw(st.booleans()) else found


@examples(3_000)
@given(merges(), st.booleans(), st.booleans(), st.lists(WORDS, min_size=1, max_size=20))
def test_where_there_are_ranks_merging_by_rank_gives_the_same(
    merges: list[tuple[str, str]], whole_words: bool, every_split: bool, words: list[str]
) -> None:
    tokens = dict.fromkeys([*LETTERS, *(left + right for left, right in merges)])
    listed = all_splits(merges) if every_split else merges
    told = bpe(listed, {token: place for place, token in enumerate(tokens)}, ignore_merges=whole_words)
    tokenizer = Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], "model": told}))
    ranks = byte_pair_ranks(told, tokenizer.model)
    event(f"ranks: {ranks is not None}, whole words: {whole_words}, every split: {every_split}")
    if ranks is None:
        return
    encode = tiktoken.Encoding("test", pat_str=".+", mergeable_ranks=ranks.of, special_tokens={}).encode_ordinary
    for word in [*words, *tokens.keys() - set(LETTERS)]:
        ids = [ranks.ids[one] for one in encode(word)] if ranks.ids else encode(word)
        assert ids == tokenizer.encode(word).ids


def test_each_list_of_merges_that_was_learned_has_ranks() -> None:
    """Also one of which each is written with all its splits; and an id is a rank where they are in one order."""
    learned = [("a", "b"), ("ab", "c"), ("ab", "ab")]
    for listed in (learned, all_splits(learned)):
        for whole_words in (False, True):
            told = bpe(listed, ignore_merges=whole_words)
            tokenizer = Tokenizer.from_str(json.dumps({"version": "1.0", "added_tokens": [], "model": told}))
            ranks = byte_pair_ranks(told, tokenizer.model)
            assert ranks is not None and ranks.ids is None
            assert [ranks.of[token] for token in (b"ab", b"abc", b"abab")] == [256, 257, 258]
