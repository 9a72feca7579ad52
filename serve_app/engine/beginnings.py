"""The first tokens of a text, exactly as encoding all of it would give them, without encoding all of it.

A tokenizer takes seconds and hundreds of MiB for a MB of text, and a model reads the beginning of it. So a prefix is
encoded, and of its tokens those count that nothing behind the prefix can change. They are certain before an *edge*: a
letter, one separator (a blank, a newline, a punctuation mark) and a letter again, where a further edge follows within
the prefix. Letters and separators are those that have stood in Unicode from its beginning and compose with no
neighbour (`LETTERS`, `SEPARATORS`), so that no two libraries disagree about them. That is enough because

* a normalizer maps a character together with the marks that follow it, or a run of blanks: nothing reaches across an
  edge, whose separator stands alone;
* a pre-tokenizer's words are runs of characters of one kind, with at most one of the kind before and line breaks
  behind; it looks one character further, or over a run to its end. Words that end before the letter of an edge were
  split by what the next edge already closes;
* a model sees one word at a time (a WordPiece word of any length is one token, once it ends). Where a word may be very
  long, as nothing splits at blanks (Gemma, Llama) or at Chinese punctuation (XLM-RoBERTa), the vocabulary decides:
  where no piece holds this separator right behind a letter, no merge and no best path leads across an edge.

A text without edges, such as one word of millions of letters, is encoded whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import NamedTuple, TypeAlias

from tokenizers import Encoding, Tokenizer
from tokenizers.models import BPE, Unigram

# Latin, Greek, Cyrillic, Hebrew, Arabic, Devanagari, Thai, kana, Chinese characters, Hangul.
LETTERS = "A-Za-zÀ-ÖØ-öø-ÿα-ωа-яא-תا-يक-हก-ฮぁ-ゖァ-ヺ一-龥가-힣"
# Without the quotation marks and the underscore, which words hold or tokenizers rewrite.
SEPARATORS = ' \n!"#$%&()*+,-./:;<=>?@[\\]^{|}~、。，！？；：'
# Characters that none of these letters becomes when it is normalized; and what vocabularies are joined with.
NO_LETTERS = r"\0\s▁\d!-/:-@\[-`{-~、。，！？；："
# The first prefix: English has 4 to 5 characters a token, other scripts have fewer; with little room, a few words more.
CHARS_PER_TOKEN, MARGIN_CHARS = 6, 1000
GROWTH = 4
# Texts are encoded together up to so many characters, which bounds the memory that their tokens take.
TOGETHER_CHARS = 1_000_000
# A search holds Python's lock: it looks at so many characters at a time.
SEARCH_CHARS = 500_000

# An encoded prefix and the place of an edge's letter in it -> how many of its first tokens are certain.
Certain: TypeAlias = Callable[[Encoding, int], int]


class Beginning(NamedTuple):
    """A text's encoding: of all of it where `whole`, else of its beginning, with more than its first `room` tokens."""

    encoding: Encoding
    whole: bool


class Part(NamedTuple):
    """The characters of a text that are encoded, and the edge's letter before which tokens are certain; None: it is all
    of the text.
    """

    text: str
    letter: int | None


class Beginnings:
    """The beginnings of texts as `tokenizer` encodes them, without special tokens. It keeps nothing between calls.

    `chars_per_token` and `margin_chars`, at least 1, decide how much is read at first, and never what is found.
    """

    def __init__(
        self, tokenizer: Tokenizer, chars_per_token: int = CHARS_PER_TOKEN, margin_chars: int = MARGIN_CHARS
    ) -> None:
        self._tokenizer = tokenizer
        self._chars_per_token, self._margin_chars = chars_per_token, margin_chars
        separators = _piece_separators(tokenizer)
        self._certain: Certain = _before_separator if separators else _before_word
        self._edge = re.compile(f"[{LETTERS}](?=[{re.escape(separators or SEPARATORS)}][{LETTERS}])")

    def of(self, texts: Sequence[str], room: int) -> Iterator[Beginning]:
        """One for each text, in order. `room` is how many tokens matter: a text that is not whole has more of them."""
        chars = self._chars_per_token * room + self._margin_chars
        parts = [self._part(text, chars) for text in texts]
        encodings = chain.from_iterable(map(self._encoded, _groups(parts)))
        for text, part, encoding in zip(texts, parts, encodings, strict=True):
            yield self._grown(text, room, chars, part, encoding)

    def _grown(self, text: str, room: int, chars: int, part: Part, encoding: Encoding) -> Beginning:
        """The part of so many characters if it has enough tokens, else a longer one."""
        while part.letter is not None and self._certain(encoding, part.letter) <= room:
            chars *= GROWTH
            part = self._part(text, chars)
            (encoding,) = self._encoded([part])
        return Beginning(encoding, whole=part.letter is None)

    def _part(self, text: str, chars: int) -> Part:
        """So many characters and the next two edges; all of a text that has not twice as much."""
        edges = self._edges(text, chars) if len(text) > 2 * chars else iter(())
        letter, following = next(edges, None), next(edges, None)
        if following is None or 2 * following > len(text):
            return Part(text, None)
        return Part(text[: following + 3], letter)

    def _edges(self, text: str, start: int) -> Iterator[int]:
        """The places of their first letters."""
        for place in range(start, len(text), SEARCH_CHARS):
            for edge in self._edge.finditer(text, place, place + SEARCH_CHARS + 2):
                yield edge.start()

    def _encoded(self, parts: Sequence[Part]) -> list[Encoding]:
        """In two calls, which compute in parallel and let other threads of Python go on. Without the places of tokens
        in their text it is faster, and needs less memory.
        """
        whole, cut = ([one.text for one in parts if (one.letter is None) is all_of_it] for all_of_it in (True, False))
        encodings = iter(self._tokenizer.encode_batch_fast(whole, add_special_tokens=False) if whole else ())
        placed = iter(self._tokenizer.encode_batch(cut, add_special_tokens=False) if cut else ())
        return [next(encodings if one.letter is None else placed) for one in parts]


def _groups(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Consecutive ones that have TOGETHER_CHARS among them, or a single one."""
    group: list[Part] = []
    chars = 0
    for part in parts:
        if group and chars + len(part.text) > TOGETHER_CHARS:
            yield group
            group, chars = [], 0
        group.append(part)
        chars += len(part.text)
    if group:
        yield group


def _before_word(encoding: Encoding, letter: int) -> int:
    """Tokens before the word that the letter is in."""
    word = encoding.char_to_word(letter)
    tokens = None if word is None else encoding.word_to_tokens(word)
    return tokens[0] if tokens else 0


def _before_separator(encoding: Encoding, letter: int) -> int:
    """Tokens up to the last one of the letter's, which may be several."""
    token = encoding.char_to_token(letter)
    if token is None:
        return 0
    while (place := encoding.token_to_chars(token)) is not None and place[0] <= letter:
        token += 1
    return int(token)


def _piece_separators(tokenizer: Tokenizer) -> str:
    """The separators that begin a token whenever they stand right behind a letter. None of them for a tokenizer whose
    pieces are no text (bytes) or whose model sees whole words only.
    """
    model, splitter = tokenizer.model, tokenizer.pre_tokenizer
    if not isinstance(model, BPE | Unigram) or "ByteLevel" in f"{tokenizer.normalizer}{splitter}":
        return ""
    if isinstance(model, BPE) and (model.continuing_subword_prefix or model.end_of_word_suffix):
        return ""
    starts = {one: _start(tokenizer, one) for one in SEPARATORS}
    pieces = "\0".join(tokenizer.get_vocab(with_added_tokens=False))
    sought = re.escape("".join(filter(None, starts.values())))
    inside = set(re.findall(f"(?<=[^{NO_LETTERS}])[{sought}]", pieces)) if sought else set()
    return "".join(one for one, start in starts.items() if start is not None and start not in inside)


def _start(tokenizer: Tokenizer, separator: str) -> str | None:
    """What the model sees behind a letter where this separator follows: nothing where a word ends with the letter. None
    where the separator is gone.
    """
    text = f"x{separator}y"
    normal = tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text
    words = (
        [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal)] if tokenizer.pre_tokenizer else [normal]
    )
    if any(word.endswith("x") for word in words):
        return ""
    _, _, behind = "".join(words).partition("x")
    return None if behind[:1] in ("", "y") else behind[0]
