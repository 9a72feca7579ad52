"""The first tokens of a text are those that encoding all of it gives, for every kind of tokenizer and any text."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from serve_app.engine.beginnings import Beginnings
from serve_app.engine.prompts import plain_text_tokenizer
from tests.examples import examples, some_of
from tests.tokenizer_kinds import KINDS

ENGLISH = "Vector search finds documents; reranking, its second step, reads them again. "
CHINESE = "重排序模型会把查询和每个文档放在一起阅读，因此比只比较向量的检索更准确。"
# What ordinary cuts go through, and what is there to break them.
FRAGMENTS = (
    "vector search",
    "Reranking's 3rd step: don't",
    "重排序模型，会逐对打分。",
    "中文ABC混排DEFghi",
    "ما هو إعادة الترتيب؟",
    "日本語のテキスト、か\u3099",
    "한국어 문장 \u1112\u1161\u11ab",
    "नमस्ते दुनिया",
    "ภาษาไทยไม่มีวรรค",
    "👩‍👩‍👧‍👦 🇨🇳🇩🇪 👍🏽",
    "e\u0301 n\u0303 A\u030a\u0301",
    "e" + "\u0323\u0301" * 20 + "\u0327",
    "\u0301",
    "\u0600 \u0d4e \u200d",
    "def f(x):\n\treturn {**x, 'a': [1, 2]}\r\n",
    "\r",
    "\r\n",
    "\n\n  \n",
    " ",
    "   ",
    " " * 40,
    "\t",
    "\u00a0\u3000\u200b\u2028",
    "!!!???...",
    "。」」！",
    "1234567890.50%",
    "1,234,567,890",
    "ﬁ ① Ⅷ ½ ŉ İ ſ Σας",
    "``quoted''",
    "▁▁ ▁a▁",
    "x" * 101,
    "ab" * 70 + "," + "é" * 120,
    "[SEP] </s> <|im_end|> <0x41>",
    "a",
    "A",
    ",",
)
# Characters for each token and in any case: where the room for tokens grows and what is read at first does not, each
# number of tokens that is just certain is asked for.
WAYS = ((0, 1), (0, 15), (0, 120), (1, 1))
MOST_ROOM = 60


def first_tokens(tokenizer: Tokenizer, text: str) -> list[int]:
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


class Kind:
    """A tokenizer, with ways to begin that differ in how much they read at first."""

    def __init__(self, name: str) -> None:
        self.plain = plain_text_tokenizer(KINDS[name]())
        self.ways = [Beginnings(self.plain, *way) for way in WAYS]
        self.cut, self.asked = 0, 0

    def check(self, text: str, rooms: Iterable[int], ways: Iterable[int] = range(len(WAYS))) -> None:
        whole = first_tokens(self.plain, text)
        for room, way in product(rooms, ways):
            (found,) = self.ways[way].of([text], room)
            assert found.ids[:room] == whole[:room], (room, WAYS[way])
            assert (len(found.ids) > room) == (len(whole) > room), (room, WAYS[way])
            if found.whole:
                assert found.ids == whole
            self.cut, self.asked = self.cut + (not found.whole), self.asked + 1


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return Kind(request.param)


@examples(300)
@given(
    parts=st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=6), min_size=1, max_size=12),
    seed=st.integers(0, 10_000),
    first=st.integers(0, 3),
)
def test_the_first_tokens_of_any_text_are_those_of_the_whole_one(
    kind: Kind, parts: list[str], seed: int, first: int
) -> None:
    """A text is the parts in some order, each of them several times."""
    rng = random.Random(seed)
    text = rng.choice(("", " ", ", ")).join(rng.choices(parts, k=rng.randint(1, 100)))
    kind.check(text, range(first, MOST_ROOM, 4), [seed % len(WAYS)])


def ordinary_texts(number: int) -> Iterator[str]:
    """Long texts made of fragments, most of them words."""
    rng = random.Random(11)
    for _ in range(number):
        words = ("vector search", "重排序模型，会逐对打分。", "Почему небо голубое?", *FRAGMENTS)
        weights = [8, 8, 8, *[1] * len(FRAGMENTS)]
        yield rng.choice(("", " ", " ", "\n")).join(rng.choices(words, weights, k=rng.randint(50, 400)))


def test_long_texts_are_cut_and_give_the_same_first_tokens(kind: Kind, request: pytest.FixtureRequest) -> None:
    kind.cut, kind.asked = 0, 0
    for place, text in enumerate(ordinary_texts(some_of(100))):
        kind.check(text, range(MOST_ROOM), [place % len(WAYS)])
    least = 0 if "over blanks" in request.node.name else 0.5
    assert kind.cut >= least * kind.asked, "most were encoded whole, so this tested little"


class Counting:
    """A tokenizer that counts the characters that it is given."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self.chars = tokenizer, 0

    def __getattr__(self, name: str) -> object:
        return getattr(self._tokenizer, name)

    def encode_batch(self, texts: list[str], **options: bool) -> object:
        self.chars += sum(map(len, texts))
        return self._tokenizer.encode_batch(texts, **options)

    def encode_batch_fast(self, texts: list[str], **options: bool) -> object:
        self.chars += sum(map(len, texts))
        return self._tokenizer.encode_batch_fast(texts, **options)


# Whose vocabularies have pieces over a blank, or, as no trainer kept scripts apart, over a Chinese comma.
READ_WHOLE = {("over blanks", "English"), ("gemma", "Chinese"), ("gemma with runs", "Chinese"), ("llama", "Chinese")}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("language", ["English", "Chinese"])
def test_of_a_long_text_no_more_is_read_than_its_first_tokens_need(name: str, language: str) -> None:
    plain = plain_text_tokenizer(KINDS[name]())
    counting = Counting(plain)
    beginnings = Beginnings(counting)  # type: ignore[arg-type]
    counting.chars = 0
    text = {"English": ENGLISH, "Chinese": CHINESE}[language] * 10_000
    (found,) = beginnings.of([text], 256)
    assert len(found.ids) > 256
    assert found.whole == ((name, language) in READ_WHOLE)
    if not found.whole:
        # What tiktoken read is all in the tokens.
        assert 0 < (counting.chars or len(plain.decode(found.ids))) < 5_000 < len(text)


def test_a_text_without_an_edge_is_read_whole_and_right() -> None:
    """A WordPiece word of any length is one token: what comes behind it counts."""
    plain = plain_text_tokenizer(KINDS["bert"]())
    text = "x" * 300_000 + " vector search" * 3
    (found,) = Beginnings(plain).of([text], 256)
    assert found.whole
    assert found.ids == first_tokens(plain, text)
    assert plain.id_to_token(found.ids[0]) == "[UNK]"
    assert len(found.ids) < 40


def test_the_texts_of_a_call_come_in_their_order_however_long() -> None:
    plain = plain_text_tokenizer(KINDS["qwen3"]())
    texts = ["short", ENGLISH * 500, "", "x" * 9_000, CHINESE * 500, "short"]
    found = list(Beginnings(plain).of(texts, 50))
    assert [one.whole for one in found] == [True, False, True, True, False, True]
    assert [one.ids[:50] for one in found] == [first_tokens(plain, text)[:50] for text in texts]
