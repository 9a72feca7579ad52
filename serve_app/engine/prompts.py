"""Texts -> token ids of each (query, document) prompt. Only the document is ever cut.

A query or document may hold the text of a special token (`<|im_end|>`, `[SEP]`). The published procedures encode it as
that token, so a document could close the prompt and vote for itself; here it is encoded as the plain text it is.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, cast

from tokenizers import Tokenizer, normalizers

from serve_app.engine.beginnings import Beginning, Beginnings
from serve_app.engine.joined import Joined
from serve_app.recipes.embedding import EmbeddingRecipe
from stages.core.errors import ConfigError, QueryTooLongError, ScoringError


class Prompt(NamedTuple):
    """Token ids as the engine gets them. `second_part` is where the document starts, for models with token types;
    `prompt_tokens` how many at the beginning stand before the text, for models that leave them out when they pool;
    `beside` is what its encoder tells the procedure that it belongs to;
    `passage` which passage of its document it holds, counted from 0: one above 0 belongs to the prompt before it.
    """

    token_ids: list[int]
    truncated: bool = False
    second_part: int | None = None
    prompt_tokens: int = 0
    beside: Any = None
    passage: int = 0


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
    """A cross-encoder's `[CLS] query [SEP] document [SEP]`, as the tokenizer's own post-processor joins it. `before` is
    what stands before each query.

    Post-processors number the two parts even for models that have no token types, such as ModernBERT.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int, token_types: bool, before: str = "") -> None:
        self.plain = plain_text_tokenizer(tokenizer)
        self.beginnings = Beginnings(self.plain)
        self.joined = Joined(tokenizer, self.plain, parts=2)
        self.token_types = token_types
        require_plain_prompt(tokenizer, self.plain, before)
        self.before = before
        self.prompt_tokens = prompt_length(tokenizer, before)
        self.room = max_length - self.joined.tokens
        self.max_length = max_length

    def encode(
        self, query: str, instruction: str | None, documents: Sequence[str], max_document_tokens: int | None = None
    ) -> list[Prompt]:
        if instruction is not None:
            raise ScoringError("cross-encoder models take no instruction: remove the instruction column")
        first, whole = _first(self.beginnings, self.before + query, self.max_length)
        room = self.room - len(first)
        require_room(room, self.max_length, whole)
        room = min(room, max_document_tokens or room)
        start = self._second_part(first, [0])
        return [self._prompt(first, second.ids, room, start) for second in self.beginnings.of(documents, room)]

    def _prompt(self, first: list[int], second: list[int], room: int, start: int | None) -> Prompt:
        truncated = len(second) > room
        ids = self.joined.ids(first, second[:room] if truncated else second)
        return Prompt(ids, truncated, start if second else self._second_part(first, second), self.prompt_tokens)

    def _second_part(self, first: list[int], second: list[int]) -> int | None:
        types = self.joined.type_ids(first, second) if self.token_types else []
        return types.index(1) if 1 in types else None


class TextEncoder:
    """An embedding model's texts: the query first, then each document, each on its own, with what stands before it.
    `instruction` is that of the settings, where a call has none of its own.
    """

    def __init__(
        self, tokenizer: Tokenizer, max_length: int, recipe: EmbeddingRecipe, instruction: str | None = None
    ) -> None:
        self.plain = plain_text_tokenizer(tokenizer)
        self.beginnings = Beginnings(self.plain)
        self.tokenizer = tokenizer
        self.joined = Joined(tokenizer, self.plain, parts=1)
        self.room = max_length - self.joined.tokens
        for prompt in (recipe.query_prompt(None), recipe.query_prompt(instruction), recipe.document_prompt):
            require_plain_prompt(tokenizer, self.plain, prompt)
        self.recipe = recipe
        self.instruction = instruction
        self.max_length = max_length

    def encode(
        self, query: str, instruction: str | None, documents: Sequence[str], max_document_tokens: int | None = None
    ) -> list[Prompt]:
        if instruction is not None and self.recipe.instructed is None:
            raise ScoringError("this model's queries have no place for an instruction: remove the instruction column")
        before, before_document = self.recipe.query_prompt(instruction or self.instruction), self.recipe.document_prompt
        first, whole = _first(self.beginnings, before + query, self.max_length)
        require_room(self.room - len(first) + 1, self.max_length, whole)
        room = min(self.room, max_document_tokens or self.room)
        texts = self.beginnings.of([before_document + document for document in documents], room)
        skipped, skipped_document = self._prompt_tokens(before), self._prompt_tokens(before_document)
        return [
            self._prompt(first, self.room, skipped),
            *(self._prompt(one.ids, room, skipped_document) for one in texts),
        ]

    def _prompt_tokens(self, before: str) -> int:
        """0 where nobody asks."""
        pooling = self.recipe.pooling
        return 0 if pooling is None or pooling.include_prompt else prompt_length(self.tokenizer, before)

    def _prompt(self, ids: list[int], room: int, prompt_tokens: int) -> Prompt:
        truncated = len(ids) > room
        return Prompt(self.joined.ids(ids[:room] if truncated else ids), truncated, prompt_tokens=prompt_tokens)


def require_plain_prompt(tokenizer: Tokenizer, plain: Tokenizer, before: str) -> None:
    """Raises ConfigError for a prompt that holds a special token: it is encoded with its text, as plain text."""
    if tokenizer.encode(before, add_special_tokens=False).ids != plain.encode(before, add_special_tokens=False).ids:
        raise ConfigError(
            f"model.recipe: the prompt {before!r} holds a special token of this model's tokenizer, which is not scored "
            "here. Needed: a prompt of plain text"
        )


def prompt_length(tokenizer: Tokenizer, before: str) -> int:
    """Tokens of what stands before a text, with those that the tokenizer puts at the beginning, as
    sentence-transformers counts them: alone, without a special token at its end.
    """
    if not before:
        return 0
    ids = tokenizer.encode(before).ids
    special = {token for token, added in tokenizer.get_added_tokens_decoder().items() if added.special}
    return len(ids) - (ids[-1] in special)


def lower_cased(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer, which from now on reads all text in lower case."""
    own = tokenizer.normalizer
    steps: list[Any] = [*cast("Any", own)] if isinstance(own, normalizers.Sequence) else [own] if own else []
    if not any(isinstance(step, normalizers.Lowercase) for step in steps):
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *steps])
    return tokenizer


def plain_text_tokenizer(tokenizer: Tokenizer) -> Tokenizer:
    """A copy that knows no special tokens: their text is split like any other. Only blanks stay.

    A Unigram vocabulary lists them as pieces of their own, with the best possible score: there they become the empty
    piece, which no text contains. Their scores stay, because the lowest one decides what an unknown character costs.
    """
    description = json.loads(tokenizer.to_str())
    added, model = description["added_tokens"], description["model"]
    blank = [token for token in added if is_blank(token["content"])]
    special = {token["content"] for token in added if token not in blank}
    if model["type"] == "Unigram":
        model["vocab"] = [["" if piece in special else piece, score] for piece, score in model["vocab"]]
    else:  # what is in no vocabulary gets a new id, that of a special token which is gone
        model["vocab"].update({token["content"]: token["id"] for token in blank})
    description["added_tokens"] = blank
    return Tokenizer.from_str(json.dumps(description))


def is_blank(token: str) -> bool:
    """Runs of line breaks, say, which Gemma's vocabulary adds as tokens: no text can pose as something with them."""
    return not token.strip(" \n\r\t▁")


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
