"""Listwise: all documents of a query in as few prompts as the publisher takes, and the cosine of each to the query.

A score belongs to the whole list and to the order in it: nothing here may be asked for a part of a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from serve_app.engine.beginnings import Beginnings
from serve_app.engine.models import ModelInfo
from serve_app.engine.outputs import Output, Task, token_vectors
from serve_app.engine.prompts import Prompt, PromptEncoder, plain_text_tokenizer
from serve_app.recipes.listwise import ListwiseRecipe
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.errors import ConfigError, ScoringError
from stages.core.records import PairScore

# vLLM's model knows the two tokens by number and its projector by its width.
DOCUMENT_TOKEN, QUERY_TOKEN, WIDTH = 151_670, 151_671, 512
# Tokens of a prompt around its texts, which the publisher does not count: 125 documents take some 1,800.
FRAME = 2_048


class Cut(NamedTuple):
    """A text within its length in tokens."""

    text: str
    tokens: int
    truncated: bool


class Member(NamedTuple):
    """A document's part in a prompt."""

    tokens: int
    truncated: bool


class ListwiseEncoder:
    """The text between two of the model's own tokens is tokenized as one, as the whole prompt would be."""

    def __init__(self, recipe: ListwiseRecipe, max_length: int, tokenizer: Any, instruction: str | None) -> None:
        backend = tokenizer.backend_tokenizer
        self.recipe, self.max_length, self.instruction = recipe, max_length, instruction
        self.plain = plain_text_tokenizer(backend)
        self.beginnings = Beginnings(self.plain)
        self.decode = tokenizer.backend_tokenizer.decode
        self.opening = backend.encode(recipe.opening, add_special_tokens=False).ids
        self.closing = backend.encode(recipe.closing, add_special_tokens=False).ids
        for text, number in ((recipe.document_token, DOCUMENT_TOKEN), (recipe.query_token, QUERY_TOKEN)):
            if (found := backend.token_to_id(text)) != number:
                raise ConfigError(f"model.name: its token {text} has the number {found}; vLLM reads {number}")

    def encode(
        self, query: str, instruction: str | None, documents: Sequence[str], max_document_tokens: int | None = None
    ) -> list[Prompt]:
        recipe = self.recipe
        (asked,) = self._cut([query], recipe.query_length)
        room = min(recipe.document_length, max_document_tokens or recipe.document_length)
        cut = self._cut(documents, room)
        return [self._prompt(asked, instruction or self.instruction, block) for block in self._blocks(asked, cut)]

    def _cut(self, texts: Sequence[str], room: int) -> Iterator[Cut]:
        """Without the model's own tokens. A text that is cut is what its first tokens spell."""
        cleaned = [text.replace(self.recipe.query_token, "").replace(self.recipe.document_token, "") for text in texts]
        for text, one in zip(cleaned, self.beginnings.of(cleaned, room), strict=True):
            ids = one.ids
            if len(ids) > room:
                yield Cut(self.decode(ids[:room], skip_special_tokens=False), room, truncated=True)
            else:
                yield Cut(text, len(ids), truncated=False)

    def _blocks(self, query: Cut, documents: Iterator[Cut]) -> Iterator[list[Cut]]:
        whole = self.max_length - 2 * query.tokens
        block, room = list[Cut](), whole
        for document in documents:
            block.append(document)
            room -= document.tokens
            if len(block) >= self.recipe.block or room <= self.recipe.document_length:
                yield block
                block, room = [], whole
        if block:
            yield block

    def _prompt(self, query: Cut, instruction: str | None, documents: Sequence[Cut]) -> Prompt:
        recipe = self.recipe
        task = recipe.task.replace("{count}", str(len(documents))).replace("{query}", query.text)
        if instruction:
            task += recipe.instructed.replace("{instruction}", instruction)
        texts, before = list[str](), task
        for number, document in enumerate(documents):
            texts.append(before + recipe.before_document.replace("{number}", str(number)) + document.text)
            before = recipe.after_document
        texts.append(before + recipe.before_query + query.text)
        parts = self.beginnings.all(texts)
        ids, members = list(self.opening), list[Member]()
        for part, document in zip(parts, documents, strict=False):
            ids += [*part, DOCUMENT_TOKEN]
            members.append(Member(len(part) + 1, document.truncated))
        ids += [*parts[-1], QUERY_TOKEN, *self.closing]
        members[0] = members[0]._replace(tokens=members[0].tokens + len(ids) - sum(one.tokens for one in members))
        return Prompt(ids, any(one.truncated for one in members), beside=tuple(members))


class ListwiseProcedure:
    """The last vector of a prompt is the query's, the others its documents'."""

    task: Task = "token_embed"
    encoder: PromptEncoder

    def __init__(self, recipe: ListwiseRecipe, model: ModelInfo, settings: ModelSettings, tokenizer: Any) -> None:
        self.encoder = ListwiseEncoder(recipe, model.max_length, tokenizer, settings.instruction)

    def pairs(self, prompts: Sequence[Prompt], outputs: Sequence[Output]) -> list[PairScore]:
        """All pairs fail where one prompt does: the query's vector is made of all."""
        members = [one for prompt in prompts for one in prompt.beside]
        found = [token_vectors(output, WIDTH) for output in outputs]
        if reason := next((reason for _, reason in found if reason is not None), None):
            return [PairScore(None, prompt_tokens=tokens, truncated=cut, error=reason) for tokens, cut in members]
        if any(len(vectors) != len(prompt.beside) + 1 for prompt, (vectors, _) in zip(prompts, found, strict=True)):
            raise ScoringError("the engine returned another number of vectors than its prompts have documents")
        scores = _cosines([vectors for vectors, _ in found]) if found else ()
        return [
            PairScore(float(score), prompt_tokens=one.tokens, truncated=one.truncated)
            for score, one in zip(scores, members, strict=True)
        ]


def _cosines(blocks: Sequence[Any]) -> Any:
    """As the publisher's rerank() averages over blocks, in single precision."""
    weights = [((1 + _cosine(vectors[-1], vectors[:-1])) / 2).max() for vectors in blocks]
    query = np.average(np.stack([vectors[-1] for vectors in blocks]), axis=0, weights=weights).astype(np.float32)
    return _cosine(query, np.concatenate([vectors[:-1] for vectors in blocks]))


def _cosine(query: Any, documents: Any) -> Any:
    return documents @ query / (np.linalg.norm(query) * np.linalg.norm(documents, axis=1))


def arguments(recipe: ListwiseRecipe, model: ModelInfo, engine: EngineSettings) -> dict[str, Any]:
    """A prompt may be longer than what the publisher counts of it by its frame. No vector is read from a cache."""
    del recipe, engine
    length = model.max_length + FRAME
    return {
        "max_model_len": length,
        "hf_overrides": {"max_position_embeddings": length},
        "enable_prefix_caching": False,
    }
