"""An answer is found where DPR's has_answer finds it, and where accents, forms of signs or missing blanks hide it.

Held against two implementations of other people's words: one of the definition in the module's docstring, character by
character with the names that Unicode gives them; and one of DPR's own, with its two expressions.
"""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Sequence

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from stages.core.errors import DataError
from stages.quality.has_answer import finder_of, letters_of, tokens_of
from tests.examples import examples

# A few letters each, so that answers are met by chance, and nearly met.
SCRIPTS = {
    "Latin": "aeéß",
    "Vietnamese": "ơđấn",
    "Cyrillic": "айёБ",
    "Greek": "ασςΐ",
    "Arabic": "ابأـً",
    "Hebrew": "אבָּ",
    "Devanagari": "कखिी्",
    "Hangul": "서울은",
    "Han": "中国京",
    "Japanese": "かがーカ東",
    "Thai": "กขิ่า",
    "Khmer": "កខា្ំ",
}
WITHOUT_BLANKS = {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "THAI", "KHMER", "LAO", "MYANMAR"}
SIGNS = [" ", "  ", "\n", "-", "–", "’", "'", "。", ".", "，", "·", "・", "7", "１", "３", "๑", "\u200b", "(", "≠"]
TEXTS = 5000


def contains(text: str, answers: Sequence[str], match: str = "tokens") -> bool:
    return finder_of(answers, match).is_in(text)  # type: ignore[arg-type]


def slow_tokens(text: str) -> list[str]:
    """By hand: characters, what kind Unicode says they are, and what they are called."""
    tokens: list[str] = []
    open_token = ""  # what the last token is, while more may join it
    for bare in unicodedata.normalize("NFD", text):
        if is_accent(bare):
            continue
        sign = one_form(bare)
        kind = unicodedata.category(sign)[0]
        if kind in "ZC":
            open_token = ""
        elif (kind == "M" and open_token) or (kind in "LN" and not alone(sign) and open_token == "run"):
            tokens[-1] += sign
        else:
            tokens.append(sign)
            open_token = "sign" if alone(sign) else "run" if kind in "LNM" else ""
    return [token.upper().casefold() for token in tokens]


def alone(sign: str) -> bool:
    """Whether it is a token of its own: a letter of a script without blanks."""
    word = unicodedata.name(sign, "").split(" ")[0]
    return unicodedata.category(sign)[0] in "LN" and unicodedata.category(sign) != "Nd" and word in WITHOUT_BLANKS


def is_accent(sign: str) -> bool:
    name, kind = unicodedata.name(sign, ""), unicodedata.category(sign)
    latin = name.startswith("COMBINING ") and "VOICED" not in name and "OVERLAY" not in name
    pointed = kind == "Mn" and name.startswith(("HEBREW ", "ARABIC "))
    return (latin and kind == "Mn") or pointed or name == "ARABIC TATWEEL"


def one_form(sign: str) -> str:
    forms = {"–": "-", "’": "'", "・": "·", "đ": "d", "Đ": "D"}
    if unicodedata.name(sign, "").startswith("FULLWIDTH "):
        sign = unicodedata.normalize("NFKC", sign)
    return forms.get(sign, sign)


def in_a_row(wanted: Sequence[str], tokens: Sequence[str]) -> bool:
    return bool(wanted) and any(
        list(tokens[at : at + len(wanted)]) == list(wanted) for at in range(len(tokens) - len(wanted) + 1)
    )


def dpr_tokens(text: str) -> list[str]:
    """SimpleTokenizer's `words(uncased=True)` of a text in NFD (facebookresearch/DPR, dpr/utils/tokenizers.py)."""
    pattern = regex.compile(r"([\p{L}\p{N}\p{M}]+)|([^\p{Z}\p{C}])", regex.IGNORECASE | regex.UNICODE | regex.MULTILINE)
    return [found.group().lower() for found in pattern.finditer(unicodedata.normalize("NFD", text))]


def made_text(rng: random.Random, letters: str, words: int) -> str:
    parts = []
    for _ in range(words):
        word = "".join(rng.choice(letters) for _ in range(rng.randint(1, 3)))
        parts += [rng.choice([word, word.upper(), word.title()]), rng.choice(["", " ", " ", rng.choice(SIGNS)])]
    return "".join(parts)


def made_answers(rng: random.Random, text: str, letters: str) -> list[str]:
    """Parts of the text, in another dress; and others, that are in it by chance or not."""
    start = rng.randrange(len(text))
    part = text[start : start + rng.randint(1, 6)]
    dressed = [part, part.upper(), unicodedata.normalize("NFC", part), unicodedata.normalize("NFD", part)]
    return [rng.choice(dressed), made_text(rng, letters, rng.randint(1, 2))][: rng.randint(1, 2)]


def test_values_equal_a_slow_implementation_of_the_definition_over_texts_in_twelve_scripts() -> None:
    rng = random.Random(11)
    values = {True: 0, False: 0}
    for number in range(TEXTS):
        letters = list(SCRIPTS.values())[number % len(SCRIPTS)]
        # Every third text mixes scripts.
        other = rng.choice([*SCRIPTS.values(), "", ""])
        text = made_text(rng, letters + other, rng.randint(2, 8))
        answers = [one for one in made_answers(rng, text, letters) if slow_tokens(one)]
        if not answers:
            continue
        expected = any(in_a_row(slow_tokens(answer), slow_tokens(text)) for answer in answers)
        assert tokens_of(text) == slow_tokens(text), [unicodedata.name(sign, sign) for sign in text]
        assert contains(text, answers) == expected, (text, answers)
        values[expected] += 1
    assert min(values.values()) > TEXTS // 8, "both are met often"


def test_where_dpr_finds_an_answer_it_is_found_and_in_plain_texts_nowhere_else() -> None:
    rng = random.Random(12)
    plain = {name: letters for name, letters in SCRIPTS.items() if name not in {"Han", "Japanese", "Thai", "Khmer"}}
    found = 0
    for number in range(TEXTS):
        letters = list(plain.values())[number % len(plain)]
        text = made_text(rng, letters, rng.randint(2, 8))
        for answer in made_answers(rng, text, letters):
            if not dpr_tokens(answer) or not tokens_of(answer):
                continue
            theirs = in_a_row(dpr_tokens(answer), dpr_tokens(text))
            found += theirs
            assert contains(text, [answer]) or not theirs, (text, answer)
            if (text + answer).isascii():
                assert contains(text, [answer]) == theirs
    assert found > TEXTS // 10


@given(st.text(alphabet="ab c.-X9'", max_size=30), st.text(alphabet="ab c.-X9'", min_size=1, max_size=6))
def test_in_ascii_it_is_dprs(text: str, answer: str) -> None:
    if wanted := dpr_tokens(answer):
        assert contains(text, [answer]) == in_a_row(wanted, dpr_tokens(text))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("She moved to (New York), in May.", "new york"),
        ("Beyoncé Knowles", "BEYONCE"),
        ("Łódź", "lodz"),
        ("It’s twenty–one", "it's twenty-one"),
        ("J.K. Rowling wrote it", "J. K. Rowling"),
        ("STRASSE", "Straße"),
        ("ΟΔΟΣ", "οδός"),
        ("ISPARTA ılıca", "Ilıca"),
        ("黑豹队的防守只丢了 308分，在联赛中排名第六", "308"),
        ("黑豹队的防守只丢了308分，在联赛中排名第六", "排名第六"),
        ("二０一０年 ２０１０年", "2010"),
        ("约翰•肯尼迪", "约翰·肯尼迪"),
        ("東京タワーは東京にある", "タワー"),
        ("กรุงเทพมหานครเป็นเมืองหลวง", "เมืองหลวง"),
        ("ភ្នំពេញជារាជធានី", "រាជធានី"),
        ("အင်းလေးကန်", "ကန်"),
        ("מִלָּה אחת", "מלה"),
        ("كِتَابٌ جديد", "كتاب"),
        ("३ किताबें", "किताबें"),
        ("서울 특별시", "서울"),
        ("e\u0301te\u0301", "été"),
    ],
)
def test_what_a_reader_sees_is_found(text: str, answer: str) -> None:
    assert contains(text, [answer])


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("the party", "art"),
        ("1998", "199"),
        ("C++ is not it", "C#"),
        ("が", "か"),
        ("กิ", "ก"),
        ("किताब", "कत"),
        ("x ≠ y", "x = y"),
        ("３１０", "10"),
        ("๑๒๓", "๑๒"),
        ("York New", "New York"),
        ("St Louis", "St. Louis"),
        ("", "a"),
    ],
)
def test_what_is_something_else_is_not(text: str, answer: str) -> None:
    assert not contains(text, [answer])


WORDS = st.text(alphabet="aé ßБй中か가ก7.-’", min_size=1, max_size=12).filter(lambda text: bool(tokens_of(text)))


@given(WORDS, st.lists(WORDS, min_size=1, max_size=3), WORDS)
@examples(200)
def test_another_answer_never_takes_one_away(text: str, answers: list[str], other: str) -> None:
    assert contains(text, answers) <= contains(text, [*answers, other])
    assert contains(text, [*answers, other]) == (contains(text, answers) or contains(text, [other]))


@given(WORDS, WORDS)
@examples(200)
def test_case_accents_and_normal_forms_change_nothing(text: str, answer: str) -> None:
    expected = contains(text, [answer])
    for dressed in (answer.upper(), answer.lower(), answer.title(), unicodedata.normalize("NFD", answer)):
        assert contains(text, [dressed]) == expected
    bare = "".join(sign for sign in unicodedata.normalize("NFD", text) if not "\u0300" <= sign <= "\u0333")
    for dressed in (text.upper(), text.lower(), unicodedata.normalize("NFC", text), bare):
        assert contains(dressed, [answer]) == expected


@given(WORDS, WORDS, WORDS)
@examples(100)
def test_an_answer_is_found_in_itself_wherever_it_stands(before: str, answer: str, after: str) -> None:
    assert contains(f"{before} {answer} {after}", [answer])


@given(st.text(max_size=60), st.text(min_size=1, max_size=10))
@examples(200)
def test_any_text_of_unicode_is_asked_in_any_other(text: str, answer: str) -> None:
    if tokens_of(answer):
        assert contains(text, [answer]) == in_a_row(tokens_of(answer), tokens_of(text))


def test_a_pattern_is_searched_in_the_decomposed_text_without_regard_to_case() -> None:
    assert contains("In MAY 1998", [r"may \d{4}"], "regex")
    assert contains("Café Müller", ["cafe mull?er"], "regex")
    assert contains("first\nsecond", ["^second$"], "regex")
    assert not contains("In May 98", [r"may \d{4}"], "regex")
    assert contains("서울은", [r"서울\w*"], "regex")


def test_what_cannot_be_looked_for_says_so() -> None:
    with pytest.raises(ValueError, match="neither a letter nor a sign"):
        finder_of([" \u200b"], "tokens")
    with pytest.raises(ValueError, match="is no regular expression"):
        finder_of(["a("], "regex")


def test_a_pattern_that_takes_for_ever_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.quality.has_answer._PATTERN_S", 0.05)
    with pytest.raises(DataError, match=r"takes more than 0.05 s over one text"):
        contains("a" * 40 + "b", [r"(a|aa|a?)+$"], "regex")


def test_letters_and_digits_are_counted() -> None:
    assert [letters_of(text) for text in ("Ed.", "1998", "北京", "- -")] == [2, 4, 2, 0]
