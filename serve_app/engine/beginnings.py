"""The first tokens of a text, exactly as encoding all of it would give them, without encoding all of it.

A tokenizer takes seconds and hundreds of MiB for a MB of text, and a model reads the beginning of it. So a prefix is
encoded, and of its tokens those count that nothing behind the prefix can change. They are certain before an *edge* (see
`edges`). That is enough because

* a normalizer maps a character together with the marks that follow it, or a run of blanks: nothing reaches across an
  edge, whose separator stands alone;
* a pre-tokenizer's words are runs of characters of one kind, with at most one of the kind before and line breaks
  behind. Where it is known that a word ends with the letter of an edge, whatever follows (byte-level BPE with a known
  expression, BERT), the text up to there is encoded, and all its tokens are certain. Of another one it is known that it
  looks one character further, or over a run to its end: words that end before the letter of an edge were split by what
  a further edge, within the prefix, already closes;
* a model sees one word at a time (a WordPiece word of any length is one token, once it ends). Where a word may be very
  long, as nothing splits at blanks (Gemma, Llama) or at Chinese punctuation (XLM-RoBERTa), the vocabulary decides:
  where no piece holds this separator right behind a letter, no merge and no best path leads across an edge, and again
  the text up to the letter is encoded.

Byte-level BPE goes on behind such a letter as if the text began there, so that what was read is not read again, unless
it puts a blank before each text.

A text without edges, such as one word of millions of letters, is encoded whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

from tokenizers import Encoding, Tokenizer
from tokenizers.models import BPE, Unigram
from tokenizers.pre_tokenizers import BertPreTokenizer

from serve_app.engine.byte_pairs import byte_pairs
from serve_app.engine.edges import SEPARATORS, Edges
from serve_app.engine.text_threads import each_read

# Characters that none of these letters becomes when it is normalized; and what vocabularies are joined with.
NO_LETTERS = r"\0\s▁\d!-/:-@\[-`{-~、。，！？；："
# The first prefix: English has 4 to 5 characters a token, other scripts about as many bytes of UTF-8, to judge by the
# first ones of a text; with little room, a few words more.
CHARS_PER_TOKEN, MARGIN_CHARS = 5, 200
JUDGED_CHARS = 500
# What is left behind a prefix is read with it where that is no more than so much of it.
REST = 1 / 4
# A prefix that has too few tokens is followed by one that should have enough, so many times as long at most.
GROWTH, SPARE = 4, 1.1
# Texts are encoded together up to so many characters, which bounds the memory that their tokens take.
TOGETHER_CHARS = 1_000_000


class Beginning(NamedTuple):
    """A text's tokens: all of them where `whole`, else more than its first `room`."""

    ids: list[int]
    whole: bool


class Part(NamedTuple):
    """The characters of a text that are encoded, and the edge's letter before which tokens are certain; None: all are.
    `whole`: it is all of the text.
    """

    text: str
    whole: bool
    letter: int | None = None


class Beginnings:
    """The beginnings of texts as `tokenizer` encodes them, without special tokens. It keeps nothing between calls.

    `chars_per_token` and `margin_chars`, at least 1, decide how much is read at first, and never what is found.
    """

    def __init__(
        self, tokenizer: Tokenizer, chars_per_token: int = CHARS_PER_TOKEN, margin_chars: int = MARGIN_CHARS
    ) -> None:
        self._tokenizer = tokenizer
        self._chars_per_token, self._margin_chars = chars_per_token, margin_chars
        self._pairs = byte_pairs(tokenizer)
        ends = SEPARATORS if self._pairs else _ends(tokenizer)
        self._certain_ends = bool(ends)
        self._edges = Edges(ends or SEPARATORS)

    def of(self, texts: Sequence[str], room: int) -> Iterator[Beginning]:
        """One for each text, in order. `room` is how many tokens matter: a text that is not whole has more of them."""
        if self._pairs is not None:
            return each_read(lambda text: self._in_steps(text, room), texts, self._chars_per_token * room)
        return self._together(texts, room)

    def all(self, texts: Sequence[str]) -> list[list[int]]:
        """All tokens of each text."""
        if self._pairs is not None:
            return list(map(self._pairs.ids, texts))
        return [one.ids for one in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def _in_steps(self, text: str, room: int) -> Beginning:
        assert self._pairs is not None
        part = self._first(text, room)
        ids = self._pairs.ids(part.text)
        read = len(part.text)
        while read < len(text) and len(ids) <= room:
            enough = self._enough(read, len(ids), room)
            if self._pairs.blank_first:  # also before what is only read on
                ids, read = [], 0
            part = self._part(text, enough - read, read)
            ids += self._pairs.ids(part.text)
            read += len(part.text)
        return Beginning(ids, whole=read == len(text))

    def _together(self, texts: Sequence[str], room: int) -> Iterator[Beginning]:
        parts = [self._first(text, room) for text in texts]
        encodings = chain.from_iterable(map(self._encoded, _groups(parts)))
        for text, part, encoding in zip(texts, parts, encodings, strict=True):
            yield self._grown(text, room, part, encoding)

    def _grown(self, text: str, room: int, part: Part, encoding: Encoding) -> Beginning:
        """The part if it has enough tokens, else a longer one."""
        while not part.whole and (certain := _certain(encoding, part.letter)) <= room:
            part = self._part(text, self._enough(len(part.text), certain, room))
            (encoding,) = self._encoded([part])
        return Beginning(encoding.ids, part.whole)

    def _enough(self, chars: int, tokens: int, room: int) -> int:
        """So many characters should have more than `room` tokens, where so many have no more than these."""
        likely = int(chars * (room + 1) / max(tokens, 1) * SPARE)
        return min(likely + self._margin_chars, GROWTH * chars + self._margin_chars)

    def _first(self, text: str, room: int) -> Part:
        """As much of a text as most have `room` tokens in, and a little more."""
        bytes_each = 1.0
        if not text.isascii():
            judged = text[:JUDGED_CHARS]
            bytes_each = len(judged.encode(errors="surrogatepass")) / len(judged)
        return self._part(text, int(self._chars_per_token * room / bytes_each) + self._margin_chars)

    def _part(self, text: str, chars: int, start: int = 0) -> Part:
        """So many characters from `start` on, and up to the next edge; all that is left where that is little more."""
        if len(text) - start <= chars:
            return Part(text[start:], whole=True)
        most = start + (len(text) - start) / (1 + REST)
        edges = self._edges.after(text, start + chars) if start + chars < most else iter(())
        letter = next(edges, None)
        end = letter if self._certain_ends else next(edges, None)
        if end is None or end >= most:
            return Part(text[start:], whole=True)
        if self._certain_ends:
            return Part(text[start : end + 1], whole=False)
        return Part(text[start : end + 3], whole=False, letter=letter)

    def _encoded(self, parts: Sequence[Part]) -> list[Encoding]:
        """In two calls, which compute in parallel and let other threads of Python go on. Without the places of tokens
        in their text it is faster, and needs less memory.
        """
        plain, placed = ([one.text for one in parts if (one.letter is None) is certain] for certain in (True, False))
        encodings = iter(self._tokenizer.encode_batch_fast(plain, add_special_tokens=False) if plain else ())
        with_places = iter(self._tokenizer.encode_batch(placed, add_special_tokens=False) if placed else ())
        return [next(encodings if one.letter is None else with_places) for one in parts]


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


def _certain(encoding: Encoding, letter: int | None) -> int:
    """Tokens before the word that the letter is in; None: all."""
    if letter is None:
        return len(encoding)
    word = encoding.char_to_word(letter)
    tokens = None if word is None else encoding.word_to_tokens(word)
    return tokens[0] if tokens else 0


def _ends(tokenizer: Tokenizer) -> str:
    """The separators before which a token ends whenever they stand right behind a letter."""
    if isinstance(tokenizer.pre_tokenizer, BertPreTokenizer):
        return SEPARATORS
    return _piece_separators(tokenizer)


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
