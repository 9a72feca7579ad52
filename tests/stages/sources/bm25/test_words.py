"""What BM25 counts as words, in texts of any script."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.sources.bm25.words import words
from tests.examples import examples

CJK = st.text(st.sampled_from("机器学习的国語にほンゴ한국어ภาษาไทย"), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cat's 2 hats", ["the", "cat", "s", "2", "hats"]),
        ("C", ["c"]),
        ("机器学习", ["机器", "器学", "学习"]),
        ("犬", ["犬"]),
        ("我有iPhone15手机", ["我有", "iphone15", "手机"]),
        ("全角ＡＢＣ", ["全角", "abc"]),
        ("東京タワー", ["東京", "京タ", "タワ", "ワー"]),
        ("ジョン・スミス", ["ジョ", "ョン", "スミ", "ミス"]),
        ("ｶﾞｽ", ["ガス"]),
        ("한국어 책", ["한국", "국어", "책"]),
        ("ภาษา", ["ภา", "าษ", "ษา"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("Straße", ["straße"]),
        ("e\u0301te\u0301", ["été"]),
        ("❤️ love", ["love"]),
        ("?! …", []),
        ("", []),
    ],
)
def test_words_of_each_script(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(CJK)
def test_pairs_of_a_run_tell_the_run_again(run: str) -> None:
    found = words(run)
    run = unicodedata.normalize("NFKC", run).lower()
    assert found[0] + "".join(pair[-1] for pair in found[1:]) == run
    assert all(len(pair) == min(2, len(run)) for pair in found)


@given(st.text(max_size=60))
@examples(300)
def test_a_text_with_a_letter_or_a_digit_has_a_word_and_no_word_has_a_blank(text: str) -> None:
    found = words(text)
    plain = unicodedata.normalize("NFKC", text).lower()
    assert bool(found) == any(one.isalnum() or one == "_" for one in plain) or any(
        unicodedata.category(one)[0] in "MNC" for one in plain
    )
    assert not any(one.isspace() for word in found for one in word)


@given(st.text(st.characters(max_codepoint=127), max_size=60))
def test_words_in_ascii_are_the_same_beside_other_scripts(text: str) -> None:
    assert words(text + " é") == [*words(text), "é"]
