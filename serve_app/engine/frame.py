"""Decoders' prompts: a recipe's units, each tokenized as a whole, around one query and each of its documents.

A unit is split at the special tokens that its literal text spells out, as a tokenizer does, and what lies between is
encoded with the query or document in it. All that has no document in it is encoded once a call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from tokenizers import Tokenizer

from serve_app.engine.beginnings import Beginnings
from serve_app.engine.prompts import Prompt, plain_text_tokenizer, require_room
from serve_app.recipes.decoder import PLACE, DecoderRecipe, fill
from stages.core.errors import ConfigError, ScoringError

# A text with places, or the ids of one without.
Segment: TypeAlias = str | list[int]
# What a text may end with before what follows the document, to see how that is tokenized there.
ENDS = ("x", "0", "。", ".")
NO_LIMIT = 1 << 30
SAMPLES = (
    ("what is a query?", "A document with 2 lines.\nHere is the second."),
    ("查询是什么？", "文档：第一句。第二句！"),
    ("def f(x):", ""),
    ("two  blanks", " a blank before, and two behind  "),
)


@dataclass(frozen=True, slots=True)
class Frame:
    """A prompt's segments: those ahead of the document's, what its own has before and after it, and those behind."""

    ahead: tuple[Segment, ...]
    before: str
    after: str
    behind: tuple[Segment, ...]


class Fixed(NamedTuple):
    """Ids of what one call has in all its prompts; `counted`: the query was read to its end."""

    ids: list[int]
    counted: bool


class FrameEncoder:
    """Prompts of one recipe. A special token spelled out in a query or a document is plain text.

    Raises ConfigError where its ids are not those of the tokenizer itself for the text as a whole.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int, recipe: DecoderRecipe, instruction: str | None) -> None:
        self.plain = plain_text_tokenizer(tokenizer)
        self.beginnings = Beginnings(self.plain)
        self.recipe, self.max_length = recipe, max_length
        self.instruction = instruction or recipe.instruction
        self.start, self.end = _added(tokenizer) if recipe.special_tokens else ([], [])
        self.uninstructed = _frame(tokenizer, self.plain, recipe.prompt)
        self.instructed = _frame(tokenizer, self.plain, recipe.instructed or recipe.prompt)
        self._check(tokenizer)

    def encode(
        self, query: str, instruction: str | None, documents: Sequence[str], max_document_tokens: int | None = None
    ) -> list[Prompt]:
        if instruction is not None and not self.recipe.takes_instruction:
            raise ScoringError(f"the recipe {self.recipe.name} takes no instruction: remove the instruction column")
        task = instruction or self.instruction
        if self.recipe.strip:
            query, documents = query.strip(), [document.strip() for document in documents]
        frame = self.instructed if task else self.uninstructed
        values = {"query": query, "instruction": task or ""}
        return self._prompts(frame, values, documents, self.max_length, max_document_tokens)

    def _prompts(
        self,
        frame: Frame,
        values: dict[str, str],
        documents: Sequence[str],
        max_length: int,
        max_document_tokens: int | None,
    ) -> list[Prompt]:
        head = self._fixed(frame.ahead, values, max_length)
        tail = self._fixed(frame.behind, values, max_length)
        before, after = fill(frame.before, values), fill(frame.after, values)
        lead, end = self._lead(before, max_length), self._behind(after, max_length)
        room = max_length - sum(map(len, (self.start, head.ids, tail.ids, self.end)))
        counted = head.counted and tail.counted and lead.counted and end.counted
        most = room - len(end.ids)  # for what is before the document, and the document
        require_room(most - len(lead.ids), max_length, counted)
        most = min(most, len(lead.ids) + (max_document_tokens or most))
        bodies = self._cut(before, documents, most) if not after else self._within(before, documents, after, most, end)
        first, last = self.start + head.ids, tail.ids + self.end
        return [Prompt(first + ids + last, truncated) for ids, truncated in bodies]

    def _fixed(self, segments: Sequence[Segment], values: dict[str, str], max_length: int) -> Fixed:
        ids, counted = [], True
        for segment in segments:
            found = (
                Fixed(segment, True) if isinstance(segment, list) else self._first(fill(segment, values), max_length)
            )
            ids += found.ids
            counted &= found.counted
        return Fixed(ids, counted)

    def _first(self, text: str, max_length: int) -> Fixed:
        """Its tokens; more than `max_length` of them need not be all."""
        (found,) = self.beginnings.of([text], max_length)
        return Fixed(found.encoding.ids, found.whole)

    def _lead(self, before: str, max_length: int) -> Fixed:
        """What stands before a document in its own segment, less a token that the document joins."""
        if not before.strip():
            return Fixed([], True)
        found = self._first(f"{before}x", max_length)
        return Fixed(found.ids[:-1], found.counted)

    def _behind(self, after: str, max_length: int) -> Fixed:
        """What stands behind a document in its own segment, as it is tokenized behind the end of a text."""
        if not after:
            return Fixed([], True)
        for last in ENDS:
            alone = self.plain.encode(last, add_special_tokens=False).ids
            found = self._first(f"{last}{after}", max_length + len(alone))
            if found.ids[: len(alone)] == alone:
                return Fixed(found.ids[len(alone) :], found.counted)
        return self._first(after, max_length)

    def _cut(self, before: str, documents: Sequence[str], most: int) -> Iterator[tuple[list[int], bool]]:
        for body in self.beginnings.of([f"{before}{document}" for document in documents], most):
            yield body.encoding.ids[:most], len(body.encoding) > most

    def _within(
        self, before: str, documents: Sequence[str], after: str, most: int, end: Fixed
    ) -> Iterator[tuple[list[int], bool]]:
        """Documents that something follows in their segment: one that fits is tokenized with it, of one that is cut the
        beginning alone.
        """
        limit = most + len(end.ids)
        wholes = self.beginnings.of([f"{before}{document}{after}" for document in documents], limit)
        for document, whole in zip(documents, wholes, strict=True):
            if len(whole.encoding) <= limit:
                yield whole.encoding.ids, False
                continue
            ((ids, truncated),) = self._cut(before, [document], most)
            yield ids + end.ids, truncated

    def _check(self, tokenizer: Tokenizer) -> None:
        """Raises ConfigError where a sample's ids are not those of its units, each encoded as it is."""
        if self.start and self.uninstructed.ahead[:1] == ([self.start[-1]],):
            raise ConfigError(
                f"model.recipe {self.recipe.name}: its prompt begins with the token that special_tokens adds. Leave "
                "one of the two out"
            )
        for task in {self.instruction, "an instruction" if self.recipe.takes_instruction else self.instruction}:
            units = (self.recipe.instructed if task else None) or self.recipe.prompt
            frame = self.instructed if task else self.uninstructed
            for query, document in SAMPLES:
                values = {"query": query, "instruction": task or ""}
                (made,) = self._prompts(frame, values, [document], NO_LIMIT, None)
                texts = [fill(unit, values | {"document": document}) for unit in units]
                parts = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
                if made.token_ids != [*self.start, *(one for part in parts for one in part), *self.end]:
                    raise ConfigError(
                        f"model.recipe {self.recipe.name}: this model's tokenizer reads the prompt for "
                        f"{query!r} otherwise as a whole than around its special tokens; it cannot be scored exactly"
                    )


def _frame(tokenizer: Tokenizer, plain: Tokenizer, units: Sequence[str]) -> Frame:
    ahead: list[Segment] = []
    behind: list[Segment] = []
    before: str | None = None
    after = ""
    for segment in (segment for unit in units for segment in _segments(tokenizer, unit)):
        if isinstance(segment, str) and "{document}" in segment:
            before, _, after = segment.partition("{document}")
            continue
        fixed = isinstance(segment, str) and not PLACE.search(segment)
        kept = plain.encode(segment, add_special_tokens=False).ids if fixed else segment
        (ahead if before is None else behind).append(kept)
    assert before is not None, "a recipe's prompt has a place for the document"
    return Frame(tuple(ahead), before, after, tuple(behind))


def _segments(tokenizer: Tokenizer, unit: str) -> Iterator[Segment]:
    """The special tokens that a unit's literal text spells out, and the texts with places between them."""
    text = ""
    for number, part in enumerate(PLACE.split(unit)):
        if number % 2:  # a place's name
            text += f"{{{part}}}"
            continue
        begin = 0
        for token, start, stop in _spelled(tokenizer, part):
            text += part[begin:start]
            if text:
                yield text
            yield [token]
            text, begin = "", stop
        text += part[begin:]
    if text:
        yield text


def _spelled(tokenizer: Tokenizer, text: str) -> Iterator[tuple[int, int, int]]:
    """The special tokens in a text, each with its place."""
    added = tokenizer.get_added_tokens_decoder()
    encoding = tokenizer.encode(text, add_special_tokens=False)
    for token, (start, stop) in zip(encoding.ids, encoding.offsets, strict=True):
        if token in added:
            yield token, start, stop


def _added(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The tokens that the tokenizer puts around any text."""
    alone = tokenizer.encode("x", add_special_tokens=False).ids
    around = tokenizer.encode("x", add_special_tokens=True).ids
    for start in range(len(around) - len(alone) + 1):
        if around[start : start + len(alone)] == alone:
            return around[:start], around[start + len(alone) :]
    raise ConfigError("model.recipe: special_tokens: this model's tokenizer changes a text when it adds its own tokens")
