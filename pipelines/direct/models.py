"""The three families in Transformers: prompts -> a logit each, or a vector each."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from pipelines.direct.prompts import DirectPrompt, Recipe
from serve_app.engine.models import ModelInfo, own_code
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
        "cross-encoder": _Classifier,
        "embedding": _Embedder,
    }
    return kinds[model.family](model, tokenizer, dtype, device)


class _Loaded:
    """Weights of one dtype on one device."""

    auto = "AutoModel"
    pooling: str | None = None
    pad_left = False  # encoders count their positions from the left

    def __init__(self, model: ModelInfo, tokenizer: Any, dtype: str, device: str | None) -> None:
        import torch
        import transformers

        self.torch: Any = torch
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
        kind = getattr(transformers, self.auto)
        code = own_code(model)
        loaded = kind.from_pretrained(model.path, revision=model.revision, dtype=getattr(torch, dtype), **code)
        self.device = device or self._free_device(loaded)
        self.model: Any = loaded.to(self.device).eval()

    def _free_device(self, loaded: Any) -> str:
        """A GPU with room for the weights and as much again: the service that is compared may have taken the rest."""
        if not self.torch.cuda.is_available():
            return "cpu"
        needed = 2 * sum(one.numel() * one.element_size() for one in loaded.parameters())
        return "cuda" if self.torch.cuda.mem_get_info()[0] > needed else "cpu"

    def _inputs(self, prompts: Sequence[DirectPrompt]) -> dict[str, Any]:
        longest = max(len(prompt.ids) for prompt in prompts)
        inputs = {
            "input_ids": [self._padded(prompt.ids, self.pad, longest) for prompt in prompts],
            "attention_mask": [self._padded([1] * len(prompt.ids), 0, longest) for prompt in prompts],
        }
        if all(prompt.type_ids is not None for prompt in prompts):
            inputs["token_type_ids"] = [self._padded(prompt.type_ids or [], 0, longest) for prompt in prompts]
        return {name: self.torch.tensor(rows, device=self.device) for name, rows in inputs.items()}

    def _padded(self, row: list[int], filler: int, longest: int) -> list[int]:
        gap = [filler] * (longest - len(row))
        return [*gap, *row] if self.pad_left else [*row, *gap]


class _YesNo(_Loaded):
    """Qwen3-Reranker: the logit of `yes` less that of `no` at the last token, whose sigmoid is the published score.

    The last layer's output is the weights' dtype, and the two logits are computed in float32, as vLLM does: rounded to
    bfloat16, a logit of 8 to 16 would be known to 0.06 only.
    """

    auto = "AutoModelForCausalLM"
    pad_left = True

    def __init__(self, model: ModelInfo, tokenizer: Any, dtype: str, device: str | None) -> None:
        super().__init__(model, tokenizer, dtype, device)
        no, yes = tokenizer.convert_tokens_to_ids(["no", "yes"])
        head = self.model.get_output_embeddings().weight
        self.direction = (head[yes].float() - head[no].float()).detach()

    def values(self, prompts: Sequence[DirectPrompt], recipe: Recipe) -> list[Any]:
        with self.torch.inference_mode():
            last = self.model.model(**self._inputs(prompts), use_cache=False).last_hidden_state[:, -1].float()
            found: list[Any] = (last if recipe.layout == "apart" else last @ self.direction).tolist()
        return found


class _Classifier(_Loaded):
    """A cross-encoder's one logit; its sigmoid is the score."""

    auto = "AutoModelForSequenceClassification"

    def __init__(self, model: ModelInfo, tokenizer: Any, dtype: str, device: str | None) -> None:
        super().__init__(model, tokenizer, dtype, device)
        if (labels := self.model.config.num_labels) != 1:
            raise ConfigError(f"model.name {model.name} gives {labels} values for a pair; a reranker gives one")

    def values(self, prompts: Sequence[DirectPrompt], recipe: Recipe) -> list[Any]:
        del recipe
        with self.torch.inference_mode():
            found: list[Any] = self.model(**self._inputs(prompts)).logits[:, 0].float().tolist()
        return found


class _Embedder(_Loaded):
    """A text's vector, pooled as its sentence-transformers files say."""

    def __init__(self, model: ModelInfo, tokenizer: Any, dtype: str, device: str | None) -> None:
        super().__init__(model, tokenizer, dtype, device)
        self.pooling = _pooling(model)

    def values(self, prompts: Sequence[DirectPrompt], recipe: Recipe) -> list[Any]:
        inputs = self._inputs(prompts)
        with self.torch.inference_mode():
            states = self.model(**inputs).last_hidden_state.float()
            mask = inputs["attention_mask"]
            match recipe.pooling:
                case "cls":
                    pooled = states[:, 0]
                case "last":
                    pooled = states[self.torch.arange(len(states)), mask.sum(1) - 1]
                case _:
                    pooled = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
            found: list[Any] = pooled.tolist()
        return found


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
