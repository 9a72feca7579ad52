"""tiktoken is used where it gives the very tokens that the tokenizer gives, of any text; and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.normalizers import NFC

from serve_app.engine.byte_pair_patterns import PATTERNS
from serve_app.engine.byte_pairs import CHANGEABLE, LONGEST_CHARS, BytePairs, byte_pairs, first_difference
from serve_app.engine.prompts import plain_text_tokenizer
from tests.byte_level_tokenizers import (
    BYTE_LEVEL,
    all_splits,
    bpe,
    byte_level,
    byte_level_tokenizer,
    described,
    learned_merges,
    splitter,
)
from tests.examples import examples
from tests.tokenizer_kinds import KINDS

# Words, blanks and signs that expressions take apart, to be put together in any order.
FRAGMENTS = (
    *("a", "A", "é", "e\u0301", "\u0301", "ß", "İ", "ſ", "中文", "か\u3099", "한", "ـ", "ภา", "नि", "ǅ", "ª", "ʰ"),
    *("1", "12", "½", "Ⅷ", "१", " ", "  ", "\t", "\n", "\r", "\r\n", "\u00a0", "\u3000", "\u0085", "\u2028", "\u180e"),
    *(
        "'",
        "’",
        "'s",
        "'S",
        "'LL",
        "'re",
        "!",
        "...",
        "/",
        "//\n",
        "_",
        "。",
        "」！",
        "👩‍👩‍👧",
        "🇨🇳",
        "\u200d",
        "\ufeff",
    ),
    *("<|im_end|>", "</s>", "<think>", "\0", "\x7f", "\uffff", "\U0010ffff", "\U000e0041", "HTTPServer", "don't"),
)
TEXTS = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=5), max_size=30).map("".join)
PLANES = (range(0xD800), range(0xE000, 0x40000), range(0xE0000, 0xE1000))


@cache
def pairs_of(name: str) -> BytePairs:
    found = byte_pairs(byte_level_tokenizer(name))
    assert found is not None
    return found


def ids_of(tokenizer: Tokenizer, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_any_text_has_the_tokens_that_the_tokenizer_gives(name: str) -> None:
    @examples(500)
    @given(TEXTS)
    def check(text: str) -> None:
        assert pairs_of(name).ids(text) == ids_of(byte_level_tokenizer(name), text)

    check()


def around(character: str) -> str:
    """A character beside letters of both cases, digits, blanks, line breaks, signs, apostrophes and itself."""
    return (
        f"a{character}b {character}B{character} 1{character}2\n{character}\n {character}! '{character}s {character * 3}"
    )


def assert_same_around(name: str, characters: list[str]) -> None:
    for start in range(0, len(characters), 250):
        some = characters[start : start + 250]
        text = " x".join(map(around, some))
        if pairs_of(name).ids(text) != ids_of(byte_level_tokenizer(name), text):
            tokenizer = byte_level_tokenizer(name)
            alone = [one for one in some if pairs_of(name).ids(around(one)) != ids_of(tokenizer, around(one))]
            pytest.fail(f"{name}: other tokens around {[f'U+{ord(one):04X}' for one in alone]}")


@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_characters_of_all_blocks_have_the_same_tokens_beside_any_kind(name: str) -> None:
    assert_same_around(name, [chr(one) for plane in PLANES for one in plane][::37])


@pytest.mark.thorough
@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_every_character_has_the_same_tokens_beside_any_kind(name: str) -> None:
    assert_same_around(name, [chr(one) for plane in PLANES for one in plane])


@pytest.mark.parametrize("name", BYTE_LEVEL)
@pytest.mark.parametrize("unit", [" ", "\n", " \n", "A", "a", "1", "!", "\u0301", "中", "Aa", "'"])
def test_a_run_as_long_as_is_allowed_and_a_longer_one_have_the_same_tokens(name: str, unit: str) -> None:
    """An expression that looks ahead could give up on it."""
    for chars in (LONGEST_CHARS, LONGEST_CHARS + 1):
        text = (unit * chars)[: chars - 1] + "x"
        assert pairs_of(name).ids(text) == ids_of(byte_level_tokenizer(name), text)


@pytest.mark.parametrize("name", BYTE_LEVEL)
def test_a_lone_surrogate_is_refused_as_the_tokenizer_refuses_it(name: str) -> None:
    with pytest.raises(TypeError):
        pairs_of(name).ids("a\ud800b")


def test_what_is_taken_as_normalized_is_so() -> None:
    kept = [one for one in map(chr, chain(*PLANES)) if not CHANGEABLE.search(one)]
    assert len(kept) > 30_000
    once, every = NFC(), "".join(kept)
    assert once.normalize_str(every) == every
    assert once.normalize_str(every[::-1]) == every[::-1]
    assert all(once.normalize_str(one) == one for one in kept)
    # What follows a character could only join it where it is such a one: a mark, or half of a Korean syllable.
    assert all(once.normalize_str(f"{first}{one}") == f"{first}{one}" for first in "aAÀ가각か" for one in kept)


def test_several_threads_get_what_one_gets() -> None:
    texts = [f"{fragment} word {number}" for number in range(20) for fragment in FRAGMENTS]
    pairs = pairs_of("qwen2")
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(pairs.ids, texts)) == list(map(pairs.ids, texts))


# --- which tokenizers


USED = {"qwen3", "roberta", "o200k"}


@pytest.mark.parametrize("kind", KINDS)
def test_of_the_usual_kinds_byte_level_ones_are_tokenized_by_tiktoken(kind: str) -> None:
    assert (byte_pairs(plain_text_tokenizer(KINDS[kind]())) is not None) == (kind in USED)


def qwen2(**more: Any) -> dict[str, Any]:
    return described(bpe(list(learned_merges())), splitter(PATTERNS["qwen2"]), {"type": "NFC"}) | more


def otherwise() -> Iterator[tuple[str, dict[str, Any]]]:
    merges = list(learned_merges())
    split = splitter(PATTERNS["qwen2"])
    yield "another expression", described(bpe(merges), splitter(r"\p{L}+|\p{N}+|[^\p{L}\p{N}]+"))
    for name, value in (("behavior", "Removed"), ("invert", True)):
        first, second = split["pretokenizers"]
        yield name, qwen2(pre_tokenizer=split | {"pretokenizers": [first | {name: value}, second]})
    yield (
        "a third step",
        qwen2(
            pre_tokenizer=split
            | {"pretokenizers": [*split["pretokenizers"], {"type": "Digits", "individual_digits": True}]}
        ),
    )
    yield "no expression", qwen2(pre_tokenizer=byte_level(use_regex=False))
    yield "decomposed", qwen2(normalizer={"type": "NFD"})
    yield (
        "stripped",
        qwen2(
            normalizer={
                "type": "Sequence",
                "normalizers": [{"type": "NFC"}, {"type": "Strip", "strip_left": True, "strip_right": True}],
            }
        ),
    )
    yield "cut", qwen2(truncation={"direction": "Right", "max_length": 8, "strategy": "LongestFirst", "stride": 0})
    yield "at random", qwen2(model=bpe(merges, dropout=0.1))
    yield "a suffix", qwen2(model=bpe(merges, end_of_word_suffix="</w>", ids={**bpe(merges)["vocab"], "</w>": 90_000}))
    without = {token: number for token, number in bpe(merges)["vocab"].items() if token != "þ"}
    yield "a byte too few", qwen2(model=bpe(merges, without))
    other_split = next(pair for pair in all_splits(merges) if pair not in merges)
    yield "one token in two places of the merges", qwen2(model=bpe([*merges, other_split]))
    yield "whole words that two tokens could be", qwen2(model=bpe(merges[1:], bpe(merges)["vocab"], ignore_merges=True))


@pytest.mark.parametrize(("why", "description"), otherwise())
def test_what_is_not_known_to_give_the_same_is_left_to_the_tokenizer(why: str, description: dict[str, Any]) -> None:
    assert byte_pairs(Tokenizer.from_str(json.dumps(qwen2()))) is not None
    assert byte_pairs(Tokenizer.from_str(json.dumps(description))) is None


def test_one_that_is_proved_and_yet_differs_on_a_sample_is_found() -> None:
    pairs = pairs_of("qwen2")
    assert first_difference(pairs) is None
    tokenizer = byte_level_tokenizer("qwen2")
    wrong = BytePairs(tokenizer, json.loads(tokenizer.to_str()), lambda text: pairs.ids(text.replace("½", "¼")))
    difference = first_difference(wrong)
    assert difference is not None and "½" in difference


def test_the_tokenizer_is_left_as_it_was() -> None:
    description = described(bpe(all_splits(list(learned_merges())), ignore_merges=True), splitter(PATTERNS["llama-3"]))
    tokenizer = Tokenizer.from_str(json.dumps(description))
    before = tokenizer.to_str()
    assert byte_pairs(tokenizer) is not None
    assert tokenizer.to_str() == before
