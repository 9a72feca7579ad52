"""Late interaction: a vector for each token, and for each document the sum of every query token's best match."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from serve_app.engine.beginnings import Beginnings
from serve_app.engine.models import ModelInfo
from serve_app.engine.outputs import Output, Task, failed, token_vectors
from serve_app.engine.prompts import Prompt, PromptEncoder, plain_text_tokenizer
from serve_app.engine.query_vectors import QueryVectors
from serve_app.engine.vectors import Vector
from serve_app.recipes.late_interaction import LateInteractionRecipe
from serve_app.settings import EngineSettings, ModelSettings
from stages.core.errors import ConfigError, ScoringError
from stages.core.records import PairScore


class LateInteractionEncoder:
    """A text is `first`, its marker, its tokens and `last`; a query is filled up with `mask`.

    Where `vectors` computes queries, the prompts are the documents' alone, each with the query's vectors beside it;
    otherwise the first prompt is the query's. A query is cut at its length, as the publisher does.
    """

    def __init__(
        self, recipe: LateInteractionRecipe, max_length: int, tokenizer: Any, vectors: QueryVectors | None
    ) -> None:
        backend = tokenizer.backend_tokenizer
        self.plain = plain_text_tokenizer(backend)
        self.beginnings = Beginnings(self.plain)
        self.recipe, self.max_length, self.vectors = recipe, max_length, vectors
        frame = backend.post_process(self.plain.encode("", add_special_tokens=False)).ids
        if len(frame) != 2:
            raise ConfigError(f"model.name: its tokenizer puts {len(frame)} tokens around a text; two are known here")
        self.first, self.last = frame
        self.query_marker = _token(tokenizer, recipe.query_marker)
        self.document_marker = _token(tokenizer, recipe.document_marker)
        self.mask = tokenizer.mask_token_id
        if self.mask is None and recipe.expansion != "none":
            raise ConfigError("model.name: its tokenizer has no mask token, which its queries are filled up with")

    def encode(
        self, query: str, instruction: str | None, documents: Sequence[str], max_document_tokens: int | None = None
    ) -> list[Prompt]:
        if instruction is not None:
            raise ScoringError("late-interaction models take no instruction: remove the instruction column")
        asked = next(self._texts([query], self.query_marker, self.recipe.query_length))
        room = self.max_length if max_document_tokens is None else min(self.max_length, max_document_tokens + 3)
        found = list(self._texts(documents, self.document_marker, room))
        filled = asked.token_ids
        if self.recipe.expansion != "none":
            filled = filled + [self.mask] * (self.recipe.query_length - len(filled))
        if self.vectors is None:
            return [Prompt(filled, asked.truncated), *found]
        vectors = self.vectors.of(tuple(filled), len(asked.token_ids))
        return [one._replace(beside=vectors) for one in found]

    def _texts(self, texts: Sequence[str], marker: int, length: int) -> Iterator[Prompt]:
        room = length - 3
        for one in self.beginnings.of(texts, room):
            ids = one.ids
            yield Prompt([self.first, marker, *ids[:room], self.last], len(ids) > room)


class LateInteractionProcedure:
    """MaxSim in single precision, as the published code computes it."""

    task: Task = "token_embed"
    encoder: PromptEncoder

    def __init__(
        self, recipe: LateInteractionRecipe, model: ModelInfo, settings: ModelSettings, tokenizer: Any
    ) -> None:
        del settings
        vectors = QueryVectors(model, recipe.head) if recipe.expansion == "unattended" else None
        self.encoder = LateInteractionEncoder(recipe, model.max_length, tokenizer, vectors)
        self._computes_queries = vectors is not None
        self._dimension = vectors.dimension if vectors else recipe.dimension
        self._skipped = _skipped(recipe, tokenizer, self.encoder.plain)

    def pairs(self, prompts: Sequence[Prompt], outputs: Sequence[Output]) -> list[PairScore]:
        """`outputs` may be vectors, or why there are none, as `vectors` gives them."""
        found = self.vectors(prompts, outputs)
        if self._computes_queries:
            return [self._pair(one.beside, one, document) for one, document in zip(prompts, found, strict=True)]
        query, *documents = found
        if isinstance(query, str):
            return [failed(one, query) for one in prompts[1:]]
        return [self._pair(query.values, one, document) for one, document in zip(prompts[1:], documents, strict=True)]

    def vectors(self, prompts: Sequence[Prompt], outputs: Sequence[Output]) -> list[Vector | str]:
        """One for each token of each prompt, or why it has none."""
        del prompts
        return [output if isinstance(output, Vector) else self._read(output) for output in outputs]

    def _read(self, output: Output) -> Vector | str:
        values, reason = token_vectors(output, self._dimension)
        return Vector(values) if reason is None else reason

    def _pair(self, query: Any, prompt: Prompt, document: Vector | str) -> PairScore:
        if isinstance(document, str):
            return failed(prompt, document)
        kept = document.values[~np.isin(prompt.token_ids, self._skipped)]
        score = float((query @ kept.T).max(axis=1).sum(dtype=np.float32))
        read = len(prompt.token_ids)
        cached = read if document.known else 0
        return PairScore(score, prompt_tokens=read, cached_tokens=cached, truncated=prompt.truncated)


def arguments(recipe: LateInteractionRecipe, model: ModelInfo, engine: EngineSettings) -> dict[str, Any]:
    """A vector for each token is asked for; a query may have more tokens than a document."""
    del engine
    asked = {"pooler_config": {"task": "token_embed"}, "max_model_len": max(model.max_length, recipe.query_length)}
    return asked | ({"hf_overrides": {"architectures": [recipe.engine_class]}} if recipe.engine_class else {})


def _skipped(recipe: LateInteractionRecipe, tokenizer: Any, plain: Tokenizer) -> list[int]:
    """Ids of the tokens that do not count in a document; a text that is no token of the vocabulary skips none."""
    if recipe.skipped_as == "text":
        split = [plain.encode(text, add_special_tokens=False).ids for text in recipe.skipped]
        return sorted({ids[0] for ids in split if ids})
    vocabulary = tokenizer.backend_tokenizer.get_vocab(with_added_tokens=True)
    return sorted(vocabulary[text] for text in recipe.skipped if text in vocabulary)


def _token(tokenizer: Any, text: str) -> int:
    found = tokenizer.backend_tokenizer.token_to_id(text)
    if found is None:
        raise ConfigError(f"model.name: its tokenizer has no token {text!r}, which its recipe marks texts with")
    return int(found)
