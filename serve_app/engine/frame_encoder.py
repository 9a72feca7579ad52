"""Decoders' prompts: a recipe's units, each tokenized as a whole, around one query and each of its documents.

What a unit has between special tokens is encoded with the query or document in it; all that has no document in it is
encoded once a call.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tokenizers import Tokenizer

from serve_app.engine.beginnings import Beginnings
from serve_app.engine.frame import Frame, Segment, Text, added_around, plain_pair, read_frame
from serve_app.engine.prompts import Prompt, plain_text_tokenizer, require_room
from serve_app.recipes.decoder import DecoderRecipe, fill
from stages.core.errors import ConfigError, ScoringError

# What a document may end with, to see how what follows it is tokenized.
ENDS = ("x", "0", "。", ".")
NO_LIMIT = 1 << 30
SAMPLES = (
    ("what is a query?", "A document with 2 lines.\nHere is the second."),
    ("查询是什么？", "文档：第一句。第二句！"),
    ("def f(x):", ""),
    ("two  blanks", " a blank before, and two behind  "),
    ("\nlines\n", "\n\nline breaks at both ends\n"),
)


class Fixed(NamedTuple):
    """Tokens of what one call has in all its prompts; `counted`: these are all, the query was read to its end."""

    ids: list[int]
    counted: bool


class FrameEncoder:
    """Prompts of one recipe. A special token spelled out in a query or a document is plain text.

    Raises ConfigError where they are not what the tokenizer itself gives for the recipe's units.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int, recipe: DecoderRecipe, instruction: str | None) -> None:
        self.plain = plain_text_tokenizer(tokenizer)
        self.pair = plain_pair(self.plain)
        self.first, self.inner = Beginnings(self.pair.first), Beginnings(self.pair.inner)
        self.recipe, self.max_length = recipe, max_length
        self.instruction = instruction or recipe.instruction
        self.start, self.end = added_around(tokenizer) if recipe.special_tokens else ([], [])
        self.uninstructed = read_frame(tokenizer, self.pair, recipe.prompt)
        self.instructed = read_frame(tokenizer, self.pair, recipe.instructed or recipe.prompt)
        self._check(tokenizer)

    def encode(
        self, query: str, instruction: str | None, documents: Sequence[str], max_document_tokens: int | None = None
    ) -> list[Prompt]:
        if instruction is not None and not self.recipe.takes_instruction:
            raise ScoringError(f"the recipe {self.recipe.name} takes no instruction: remove the instruction column")
        if self.recipe.strip:
            query, documents = query.strip(), [document.strip() for document in documents]
        values = {"query": query, "instruction": instruction or self.instruction or ""}
        return self._prompts(values, documents, self.max_length, max_document_tokens)

    def _prompts(
        self, values: Mapping[str, str], documents: Sequence[str], max_length: int, max_document_tokens: int | None
    ) -> list[Prompt]:
        frame = self._frame(values)
        head, tail = (self._fixed(segments, values, max_length) for segments in (frame.ahead, frame.behind))
        before = Text(fill(frame.before.text, values), frame.before.first)
        after = fill(frame.after, values)
        lead, end = self._lead(before, max_length), self._behind(after, max_length)
        # For what stands before a document in its own segment, and the document.
        room = max_length - sum(map(len, (self.start, head.ids, end.ids, tail.ids, self.end)))
        counted = all(part.counted for part in (head, tail, lead, end))
        require_room(room - len(lead.ids), max_length, counted)
        room = min(room, len(lead.ids) + (max_document_tokens or room))
        bodies = self._within(before, documents, after, room, end.ids) if after else self._cut(before, documents, room)
        start, stop = self.start + head.ids, tail.ids + self.end
        return [Prompt(start + ids + stop, truncated) for ids, truncated in bodies]

    def _frame(self, values: Mapping[str, str]) -> Frame:
        return self.instructed if values["instruction"] else self.uninstructed

    def _fixed(self, segments: Sequence[Segment], values: Mapping[str, str], max_length: int) -> Fixed:
        parts = [
            self._read(Text(fill(one.text, values), one.first), max_length)
            if isinstance(one, Text)
            else Fixed(one, True)
            for one in segments
        ]
        return Fixed([token for part in parts for token in part.ids], all(part.counted for part in parts))

    def _read(self, text: Text, max_length: int) -> Fixed:
        """More than `max_length` tokens need not be all."""
        (found,) = self._texts(text).of([text.text], max_length)
        return Fixed(found.ids, found.whole)

    def _texts(self, text: Text) -> Beginnings:
        return self.first if text.first else self.inner

    def _lead(self, before: Text, max_length: int) -> Fixed:
        """What stands before a document in its segment, less a token that the document joins."""
        if not before.text.strip():
            return Fixed([], True)
        found = self._read(Text(f"{before.text}x", before.first), max_length)
        return Fixed(found.ids[:-1], found.counted)

    def _behind(self, after: str, max_length: int) -> Fixed:
        """What stands behind a document in its segment, as it is tokenized behind the end of a text."""
        if not after:
            return Fixed([], True)
        for last in ENDS:
            alone = self.pair.ids(last, first=False)
            found = self._read(Text(f"{last}{after}", first=False), max_length + len(alone))
            if found.ids[: len(alone)] == alone:
                return Fixed(found.ids[len(alone) :], found.counted)
        return self._read(Text(after, first=False), max_length)

    def _cut(self, before: Text, documents: Sequence[str], room: int) -> Iterator[tuple[list[int], bool]]:
        for body in self._texts(before).of([f"{before.text}{document}" for document in documents], room):
            truncated = len(body.ids) > room
            yield (body.ids[:room] if truncated else body.ids), truncated

    def _within(
        self, before: Text, documents: Sequence[str], after: str, room: int, end: list[int]
    ) -> Iterator[tuple[list[int], bool]]:
        """Documents that something follows in their segment: one that fits is tokenized with it, one that is cut on its
        own.
        """
        limit = room + len(end)
        texts = [f"{before.text}{document}{after}" for document in documents]
        for document, whole in zip(documents, self._texts(before).of(texts, limit), strict=True):
            if len(whole.ids) <= limit:
                yield whole.ids, False
                continue
            ((ids, truncated),) = self._cut(before, [document], room)
            yield ids + end, truncated

    def _check(self, tokenizer: Tokenizer) -> None:
        """Raises ConfigError where a sample's tokens are not those of its units, each encoded as it is."""
        name = f"model.recipe {self.recipe.name}"
        if self.start and self.uninstructed.ahead[:1] == ([self.start[-1]],):
            raise ConfigError(f"{name}: its prompt begins with a token that special_tokens adds. Leave one of them out")
        tasks = {self.instruction or "", "an instruction" if self.recipe.takes_instruction else ""}
        for values in ({"query": query, "instruction": task} for task in tasks for query, _ in SAMPLES):
            documents = [document for _, document in SAMPLES]
            units = (self.recipe.instructed if values["instruction"] else None) or self.recipe.prompt
            for document, made in zip(documents, self._prompts(values, documents, NO_LIMIT, None), strict=True):
                texts = [fill(unit, {**values, "document": document}) for unit in units]
                parts = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
                if made.token_ids != [*self.start, *(token for part in parts for token in part), *self.end]:
                    raise ConfigError(
                        f"{name}: this model's tokenizer reads its prompt around {values['query']!r} otherwise as a "
                        "whole than in the parts between special tokens, so that no document could be cut exactly"
                    )
