"""A prompt as a tokenizer reads it: the special tokens that its units spell out, and the texts between them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from tokenizers import Tokenizer

from serve_app.engine.prompts import is_blank
from serve_app.recipes.decoder import PLACE
from stages.core.errors import ConfigError


class Text(NamedTuple):
    """Text with places; `first`: nothing is before it in its unit, which is where some tokenizers put a blank."""

    text: str
    first: bool


# The tokens of what has no place are known.
Segment: TypeAlias = Text | list[int]


@dataclass(frozen=True, slots=True)
class Frame:
    """A prompt's segments: those ahead of the document's, what its own has before and after it, and those behind."""

    ahead: tuple[Segment, ...]
    before: Text
    after: str
    behind: tuple[Segment, ...]


class Plain(NamedTuple):
    """Two tokenizers that know no special token: of what begins a unit, and of what follows a special token in it."""

    first: Tokenizer
    inner: Tokenizer

    def ids(self, text: str, *, first: bool) -> list[int]:
        return list((self.first if first else self.inner).encode(text, add_special_tokens=False).ids)


def plain_pair(first: Tokenizer) -> Plain:
    """`first`: one that knows no special token. The inner one is the same, but where that puts a blank at the beginning
    of a text alone (SentencePiece's, as Transformers writes it: Metaspace, prepend_scheme "first").
    """
    if "Metaspace" not in str(first.pre_tokenizer):
        return Plain(first, first)
    description = json.loads(first.to_str())
    splitter = description["pre_tokenizer"] or {}
    changed = False
    for one in splitter.get("pretokenizers", [splitter]):
        if one.get("type") == "Metaspace" and one.get("prepend_scheme") == "first":
            one["prepend_scheme"] = "never"
            changed = True
    return Plain(first, Tokenizer.from_str(json.dumps(description)) if changed else first)


def read_frame(tokenizer: Tokenizer, plain: Plain, units: Sequence[str]) -> Frame:
    """A unit is split at the special tokens that its literal text spells out, as `tokenizer` splits it."""
    ahead: list[Segment] = []
    behind: list[Segment] = []
    before: Text | None = None
    after = ""
    for segment in (segment for unit in units for segment in _segments(tokenizer, unit)):
        if isinstance(segment, Text) and "{document}" in segment.text:
            start, _, after = segment.text.partition("{document}")
            before = Text(start, segment.first)
            continue
        fixed = isinstance(segment, Text) and not PLACE.search(segment.text)
        kept = plain.ids(segment.text, first=segment.first) if fixed else segment  # type: ignore[union-attr]
        (ahead if before is None else behind).append(kept)
    assert before is not None, "a recipe's prompt has a place for the document"
    return Frame(tuple(ahead), before, after, tuple(behind))


def added_around(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The tokens that a tokenizer puts before and behind any text."""
    alone = tokenizer.encode("x", add_special_tokens=False).ids
    around = tokenizer.encode("x", add_special_tokens=True).ids
    for start in range(len(around) - len(alone) + 1):
        if around[start : start + len(alone)] == alone:
            return around[:start], around[start + len(alone) :]
    raise ConfigError("model.recipe: special_tokens: this model's tokenizer changes a text when it adds its own tokens")


def _segments(tokenizer: Tokenizer, unit: str) -> Iterator[Segment]:
    text, first = "", True
    for number, part in enumerate(PLACE.split(unit)):
        if number % 2:  # a place's name
            text += f"{{{part}}}"
            continue
        begin = 0
        for token, start, stop in _spelled(tokenizer, part):
            text += part[begin:start]
            if text:
                yield Text(text, first)
            yield [token]
            text, first, begin = "", False, stop
        text += part[begin:]
    if text:
        yield Text(text, first)


def _spelled(tokenizer: Tokenizer, text: str) -> Iterator[tuple[int, int, int]]:
    """The special tokens in a text, each with its place."""
    added: dict[int, Any] = tokenizer.get_added_tokens_decoder()
    special = {token for token, told in added.items() if not is_blank(told.content)}
    encoding = tokenizer.encode(text, add_special_tokens=False)
    for token, (start, stop) in zip(encoding.ids, encoding.offsets, strict=True):
        if token in special:
            yield token, start, stop
