"""The three families in Transformers: prompts -> a logit each, or a vector each. The weights are computed as the engine
of `engine.backend: transformers` computes them; what they are given is made here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from pipelines.direct.prompts import DirectPrompt, Recipe
from serve_app.engine.models import ModelInfo
from serve_app.engine.transformers_models import CausalModel, Classifier, Embedder, Pooling, Row
from stages.core.errors import ConfigError

# The keys of sentence-transformers' pooling file, and what each is called here. Newer files name the mode itself.
POOLING_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "last",
}
POOLING_NAMES = {"cls": "cls", "mean": "mean", "lasttoken": "last"}


class DirectModel(Protocol):
    """Prompts of one batch -> their values. `device` is where it computes, `pooling` an embedding model's own."""

    device: str
    pooling: str | None

    def values(self, prompts: Sequence[DirectPrompt], recipe: Recipe) -> list[Any]: ...


def load_direct(model: ModelInfo, tokenizer: Any, dtype: str, device: str | None) -> DirectModel:
    """Raises ConfigError for a model that this procedure does not know how to read."""
    kinds: dict[str, Callable[..., DirectModel]] = {
        "qwen3-reranker": _YesNo,
        "cross-encoder": _OneLogit,
        "embedding": _Vector,
    }
    return kinds[model.family](model, tokenizer, dtype, device)


class _YesNo(CausalModel):
    """Qwen3-Reranker: the logit of `yes` less that of `no` at the last token, whose sigmoid is the published score."""

    pooling: str | None = None

    def __init__(self, model: ModelInfo, tokenizer: Any, dtype: str, device: str | None) -> None:
        super().__init__(model, tokenizer.pad_token_id, dtype, device)
        self.tokens = tokenizer.convert_tokens_to_ids(["yes", "no"])

    def values(self, prompts: Sequence[DirectPrompt], recipe: Recipe) -> list[Any]:
        rows = _rows(prompts)
        found: list[Any] = (self.states(rows) if recipe.layout == "apart" else self.logits(rows, self.tokens)).tolist()
        return found


class _OneLogit(Classifier):
    """A cross-encoder's one logit; its sigmoid is the score."""

    pooling: str | None = None

    def __init__(self, model: ModelInfo, tokenizer: Any, dtype: str, device: str | None) -> None:
        super().__init__(model, tokenizer.pad_token_id, dtype, device)

    def values(self, prompts: Sequence[DirectPrompt], recipe: Recipe) -> list[Any]:
        del recipe
        found: list[Any] = self.logits(_rows(prompts)).tolist()
        return found


class _Vector(Embedder):
    """A text's vector, pooled as its sentence-transformers files say."""

    def __init__(self, model: ModelInfo, tokenizer: Any, dtype: str, device: str | None) -> None:
        super().__init__(model, tokenizer.pad_token_id, dtype, device)
        self.pooling: str | None = _pooling(model)

    def values(self, prompts: Sequence[DirectPrompt], recipe: Recipe) -> list[Any]:
        found: list[Any] = self.vectors(_rows(prompts), cast("Pooling", recipe.pooling)).tolist()
        return found


def _rows(prompts: Sequence[DirectPrompt]) -> list[Row]:
    return [Row(prompt.ids, prompt.type_ids) for prompt in prompts]


def _pooling(model: ModelInfo) -> str:
    """Of modules.json and the pooling module's own file; without them the mean, as sentence-transformers itself does.

    Raises ConfigError where a module changes the vector in a way that is not known here.
    """
    modules = _read(model, "modules.json") or []
    kinds = {str(module["type"]).rsplit(".", 1)[-1]: module["path"] for module in modules}
    if unknown := set(kinds) - {"Transformer", "Pooling", "Normalize"}:
        raise ConfigError(f"model.name {model.name}: its module {', '.join(sorted(unknown))} is not known here")
    told = _read(model, f"{kinds.get('Pooling', '1_Pooling')}/config.json") or {"pooling_mode": "mean"}
    modes = [name for key, name in POOLING_KEYS.items() if told.get(key)]
    if "pooling_mode" in told:
        modes = [POOLING_NAMES.get(str(told["pooling_mode"]), "")]
    if len(modes) != 1 or not modes[0]:
        raise ConfigError(f"model.name {model.name}: its pooling is none of cls, mean and last token alone")
    return modes[0]


def _read(model: ModelInfo, file: str) -> Any:
    """A JSON file of the model's folder or repository; None where it has none."""
    from transformers.utils import cached_file

    path = cached_file(model.path, file, revision=model.revision, _raise_exceptions_for_missing_entries=False)
    return None if path is None else json.loads(Path(path).read_text(encoding="utf-8"))
