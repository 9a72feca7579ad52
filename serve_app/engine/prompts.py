"""Texts -> token ids of each (query, document) prompt. Only the document is ever cut.

A query or document may hold the text of a special token (`<|im_end|>`, `[SEP]`). The published procedures encode it as
that token, so a document could close the prompt and vote for itself; here it is encoded as the plain text it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tokenizers import Encoding, Tokenizer

from serve_app.engine.beginnings import Beginning, Beginnings
from stages.core.errors import QueryTooLongError, ScoringError


class Prompt(NamedTuple):
    """Token ids as the engine gets them. `second_part` is where the document starts, for models with token types."""

    token_ids: list[int]
    truncated: bool = False
    second_part: int | None = None


class PromptEncoder(Protocol):
    """One query and its documents -> one prompt each, in order. Raises QueryTooLongError where no document would
    fit. Several threads may call one encoder.

    `plain` splits the text of queries and documents, in which it knows no special token.
    """

    plain: Tokenizer

    def encode(
        self, query: str, instruction: str | None, documents: Sequence[str], max_document_tokens: int | None = None
    ) -> list[Prompt]: ...


class PairEncoder:
    """A cross-encoder's `[CLS] query [SEP] document [SEP]`, as the tokenizer's own post-processor joins it.

    Post-processors number the two parts even for models that have no token types, such as ModernBERT.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int, token_types: bool) -> None:
        self.plain = plain_text_tokenizer(tokenizer)
        self.beginnings = Beginnings(self.plain)
        self.joiner = tokenizer
        self.token_types = token_types
        self.room = max_length - tokenizer.num_special_tokens_to_add(is_pair=True)
        self.max_length = max_length

    def encode(
        self, query: str, instruction: str | None, documents: Sequence[str], max_document_tokens: int | None = None
    ) -> list[Prompt]:
        if instruction is not None:
            raise ScoringError("cross-encoder models take no instruction: remove the instruction column")
        first, whole = _first(self.beginnings, query, self.max_length)
        room = self.room - len(first)
        require_room(room, self.max_length, whole)
        room = min(room, max_document_tokens or room)
        return [self._join(first, second.encoding, room) for second in self.beginnings.of(documents, room)]

    def _join(self, first: Encoding, second: Encoding, room: int) -> Prompt:
        truncated = len(second) > room
        if truncated:
            second.truncate(room)
        joined = self.joiner.post_process(first, second, add_special_tokens=True)
        second_part = joined.type_ids.index(1) if self.token_types and 1 in joined.type_ids else None
        return Prompt(joined.ids, truncated, second_part)


class TextEncoder:
    """An embedding model's texts: the query first, then each document, each on its own.

    An instruction is given as Qwen3-Embedding and E5-instruct publish it: `Instruct: ...\\nQuery: ...`.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int, instruction: str | None) -> None:
        self.plain = plain_text_tokenizer(tokenizer)
        self.beginnings = Beginnings(self.plain)
        self.joiner = tokenizer
        self.room = max_length - tokenizer.num_special_tokens_to_add(is_pair=False)
        self.instruction = instruction
        self.max_length = max_length

    def encode(
        self, query: str, instruction: str | None, documents: Sequence[str], max_document_tokens: int | None = None
    ) -> list[Prompt]:
        task = instruction or self.instruction
        text = f"Instruct: {task}\nQuery: {query}" if task else query
        first, whole = _first(self.beginnings, text, self.max_length)
        require_room(self.room - len(first) + 1, self.max_length, whole)
        room = min(self.room, max_document_tokens or self.room)
        texts = self.beginnings.of(documents, room)
        return [self._finish(first, self.room), *(self._finish(one.encoding, room) for one in texts)]

    def _finish(self, text: Encoding, room: int) -> Prompt:
        truncated = len(text) > room
        if truncated:
            text.truncate(room)
        return Prompt(self.joiner.post_process(text, add_special_tokens=True).ids, truncated)


def plain_text_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """A copy that knows no special tokens: their text is split like any other.

    A Unigram vocabulary lists them as pieces of their own, with the best possible score: there they become the empty
    piece, which no text contains. Their scores stay, because the lowest one decides what an unknown character costs.
    """
    description = json.loads(tokenizer.to_str())
    special = {token["content"] for token in description["added_tokens"]}
    description["added_tokens"] = []
    if description["model"]["type"] == "Unigram":
        description["model"]["vocab"] = [
            ["" if piece in special else piece, score] for piece, score in description["model"]["vocab"]
        ]
    return Tokenizer.from_str(json.dumps(description))


def _first(beginnings: Beginnings, query: str, max_length: int) -> Beginning:
    """A query's tokens; more than `max_length` of them need not be all."""
    (first,) = beginnings.of([query], max_length)
    return first


def require_room(room: int, max_length: int, counted: bool) -> None:
    """`counted`: the query was read to its end, so that it is known how many tokens it has."""
    if room < 1:
        excess = f"{1 - room} tokens too long" if counted else f"at least {1 - room} tokens too long"
        raise QueryTooLongError(
            f"the query is {excess}: with its template it leaves no room for a document in model.max_length "
            f"{max_length}. Shorten the query or raise the limit"
        )
