"""Pairs -> scores with Transformers alone, by the procedure that each family's publisher gives: no vLLM, no prompts of
ours. What the service answers is compared with it, in scores and in speed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pipelines.direct.models import DirectModel, load_direct
from pipelines.direct.prompts import DirectPrompt, Pair, Prompts, Recipe
from serve_app.engine.models import ModelInfo
from serve_app.engine.tokenizer import load_tokenizer
from serve_app.recipes.cross_encoder import CrossEncoderRecipe
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError
from stages.core.records import PairScore
from stages.core.scoring import sigmoid

# Tokens in one batch, padding included: what 16 prompts of 1,024 tokens take.
BATCH_TOKENS = 16_384


class DirectScorer:
    """One model of one dtype on one device, synchronous. `device` None: a GPU that has room, else the CPU."""

    def __init__(
        self,
        model: ModelInfo,
        settings: ModelSettings,
        dtype: str = "float32",
        batch_size: int = 16,
        device: str | None = None,
    ) -> None:
        """Loads the weights. Raises ConfigError for what has none, or is no model of the three families."""
        _require_known(model)
        self.family, self.dtype, self.batch_size = model.family, dtype, batch_size
        self.tokenizer: Any = load_tokenizer(model, padding_side="left")
        self._prompts = Prompts(self.tokenizer, model.family)
        self._model: DirectModel = load_direct(model, self.tokenizer, dtype, device)
        self.published = Recipe(model.max_length, settings.template, settings.instruction, pooling=self._model.pooling)
        self.device = self._model.device

    def score(self, query: str, documents: Sequence[str], instruction: str | None = None) -> list[PairScore]:
        """One score for each document, in their order."""
        return self.score_all([Pair(query, document, instruction) for document in documents])

    def score_all(self, pairs: Sequence[Pair], recipe: Recipe | None = None) -> list[PairScore]:
        """One score for each pair, in their order, batched over all queries by length.

        `prompt_tokens` are those of the pair's prompt; for embedding models, as the service counts them, those of the
        document. A query that leaves no room for a document has an `error`.
        """
        recipe = recipe or self.published
        made = self._prompts.make(pairs, recipe)
        if self.family == "embedding" or recipe.layout == "apart":
            return self._cosines(made, recipe)
        logits = self._each([prompts[0] for prompts in made], recipe)
        return [_pair(prompt, logit, recipe) for (prompt,), logit in zip(made, logits, strict=True)]

    def prompts(self, pairs: Sequence[Pair], recipe: Recipe | None = None) -> list[list[list[int]]]:
        """The token ids of each pair: one prompt, or the query's and the document's for embedding models."""
        return [[one.ids for one in prompts] for prompts in self._prompts.make(pairs, recipe or self.published)]

    def _cosines(self, made: Sequence[Sequence[DirectPrompt]], recipe: Recipe) -> list[PairScore]:
        """A text that occurs more than once is embedded once."""
        import numpy as np

        distinct = {tuple(prompt.ids): prompt for prompts in made for prompt in prompts}
        vectors = dict(zip(distinct, self._each(list(distinct.values()), recipe), strict=True))
        scores = []
        for query, document in made:
            first, second = (np.asarray(vectors[tuple(one.ids)], dtype=np.float64) for one in (query, document))
            if query.whole > recipe.max_length and recipe.cut == "document":
                scores.append(_too_long(document))
                continue
            cosine = float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))
            cut = document.whole > len(document.ids)
            scores.append(PairScore(cosine, prompt_tokens=len(document.ids), truncated=cut))
        return scores

    def _each(self, prompts: Sequence[DirectPrompt], recipe: Recipe) -> list[Any]:
        """What the model gives for each prompt, a logit or a vector: longest first, so that memory runs out at once or
        never.
        """
        values: list[Any] = [None] * len(prompts)
        for places in self._batches(prompts):
            found = self._model.values([prompts[place] for place in places], recipe)
            for place, value in zip(places, found, strict=True):
                values[place] = value
        return values

    def _batches(self, prompts: Sequence[DirectPrompt]) -> Iterator[list[int]]:
        """Places of prompts of similar length: at most `batch_size`, and BATCH_TOKENS with their padding."""
        batch: list[int] = []
        for place in sorted(range(len(prompts)), key=lambda one: -len(prompts[one].ids)):
            longest = len(prompts[batch[0]].ids) if batch else 0
            if batch and (len(batch) == self.batch_size or (len(batch) + 1) * longest > BATCH_TOKENS):
                yield batch
                batch = []
            batch.append(place)
        if batch:
            yield batch


def _require_known(model: ModelInfo) -> None:
    """Written for three procedures: a comparison with another one would tell of faults that are none."""
    if model.recipe is None:
        raise ConfigError("model.name overlap is no model: there is nothing to compare it with")
    plain = isinstance(model.recipe, CrossEncoderRecipe | EmbeddingRecipe) and model.recipe.plain
    if model.family != "qwen3-reranker" and not plain:
        raise ConfigError(
            f"model.name {model.name} is scored by the recipe {model.recipe.name} ({model.recipe.kind}), for which "
            "there is no second path: it can be run and served, not verified or compared with Transformers"
        )


def _pair(prompt: DirectPrompt, logit: float, recipe: Recipe) -> PairScore:
    if prompt.room < 1 and recipe.cut == "document":
        return _too_long(prompt)
    cut = prompt.whole > len(prompt.ids)
    return PairScore(sigmoid(logit), logit, prompt_tokens=len(prompt.ids), truncated=cut)


def _too_long(prompt: DirectPrompt) -> PairScore:
    return PairScore(None, prompt_tokens=len(prompt.ids), truncated=True, error="the query leaves no room for a text")
