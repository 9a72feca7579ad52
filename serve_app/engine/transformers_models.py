"""Models in Transformers: rows of token ids -> a logit, a vector, or a vector a token. For the service's own prompts,
and for those that `verify` makes apart from them.

Rows of a batch are padded on the right. What is read of a row then stands where it would stand alone, with the same
positions: an encoder counts them from the left, and a causal decoder never looks at what comes behind.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from serve_app.engine.models import ModelInfo, model_config, own_code
from stages.core.errors import ConfigError

Pooling: TypeAlias = Literal["cls", "mean", "last"]


class Row(NamedTuple):
    """`type_ids` where the model takes them: 1 for what is the document's."""

    ids: Sequence[int]
    type_ids: Sequence[int] | None = None


class Weights:
    """Those of one model in one dtype (torch's name) on one device; `auto` is the class of Transformers to load with.

    Raises ConfigError for a checkpoint that lacks weights of this class: what is not there would be made up.
    """

    auto = "AutoModel"
    # What may be missing, as nothing here reads it.
    unread: tuple[str, ...] = ("pooler.",)

    def __init__(self, model: ModelInfo, pad: int | None, dtype: str, device: str | None = None) -> None:
        import torch
        import transformers

        self.torch: Any = torch
        self.pad = pad or 0
        kind = getattr(transformers, self._class(model))
        options = {"revision": model.revision, "dtype": getattr(torch, dtype), **own_code(model)}
        loaded, told = kind.from_pretrained(model.path, output_loading_info=True, **options)
        missing = sorted(name for name in told["missing_keys"] if not name.startswith(self.unread))
        if missing:
            raise ConfigError(
                f"model.name {model.name}: its files have no {missing[0]}, which {type(loaded).__name__} needs: it is "
                "no model of this kind, or its weights are incomplete"
            )
        self.device: str = device or self._free_device(loaded)
        self.model: Any = loaded.to(self.device).eval()
        self._takes_types = "token_type_ids" in inspect.signature(self.model.forward).parameters

    def _class(self, model: ModelInfo) -> str:
        del model
        return self.auto

    def _free_device(self, loaded: Any) -> str:
        """A GPU with room for the weights and as much again: a service on it may have taken the rest."""
        if not self.torch.cuda.is_available():
            return "cpu"
        needed = 2 * sum(one.numel() * one.element_size() for one in loaded.parameters())
        return "cuda" if self.torch.cuda.mem_get_info()[0] > needed else "cpu"

    def _inputs(self, rows: Sequence[Row]) -> dict[str, Any]:
        longest = max(len(row.ids) for row in rows)
        inputs = {
            "input_ids": [_padded(row.ids, self.pad, longest) for row in rows],
            "attention_mask": [_padded([1] * len(row.ids), 0, longest) for row in rows],
        }
        if self._takes_types and all(row.type_ids is not None for row in rows):
            inputs["token_type_ids"] = [_padded(row.type_ids or (), 0, longest) for row in rows]
        return {name: self.torch.tensor(values, device=self.device) for name, values in inputs.items()}

    def _last(self, states: Any, mask: Any) -> Any:
        """Of each row its last token's."""
        return states[self.torch.arange(len(states), device=states.device), mask.sum(1) - 1]


class Classifier(Weights):
    """A cross-encoder's logits; a reranker has one."""

    auto = "AutoModelForSequenceClassification"
    unread = ()

    def __init__(self, model: ModelInfo, pad: int | None, dtype: str, device: str | None = None) -> None:
        super().__init__(model, pad, dtype, device)
        if (labels := self.model.config.num_labels) != 1:
            raise ConfigError(f"model.name {model.name} gives {labels} values for a pair; a reranker gives one")

    def logits(self, rows: Sequence[Row]) -> Any:
        with self.torch.inference_mode():
            return self.model(**self._inputs(rows)).logits[:, 0].float()


class CausalModel(Weights):
    """A decoder: its last token's state, and the logits of single tokens behind it, which are that times the head.

    The last layer's output is the weights' dtype, and logits are computed from it in float32, as vLLM does: rounded to
    bfloat16, a logit of 8 to 16 would be known to 0.06 only.
    """

    auto = "AutoModelForCausalLM"
    unread = ()

    def states(self, rows: Sequence[Row]) -> Any:
        inputs = self._inputs(rows)
        with self.torch.inference_mode():
            states = self.model.base_model(**inputs, use_cache=False).last_hidden_state
            return self._last(states, inputs["attention_mask"]).float()

    def logits(self, rows: Sequence[Row], tokens: Sequence[int]) -> Any:
        """That of the first token, less that of the second where there are two."""
        head = self.model.get_output_embeddings()
        with self.torch.inference_mode():
            found = self.states(rows) @ head.weight[tokens].float().T
            return _first_less_second(found)


class FirstStep(Weights):
    """An encoder-decoder, such as T5: logits of single tokens at the first step of its decoder."""

    auto = "AutoModelForSeq2SeqLM"
    unread = ()

    def logits(self, rows: Sequence[Row], tokens: Sequence[int]) -> Any:
        """That of the first token, less that of the second where there are two."""
        start = self.torch.full((len(rows), 1), self.model.config.decoder_start_token_id, device=self.device)
        with self.torch.inference_mode():
            found = self.model(**self._inputs(rows), decoder_input_ids=start, use_cache=False).logits[:, 0, tokens]
            return _first_less_second(found.float())


class Embedder(Weights):
    """A text's vector, or those of its tokens."""

    def _class(self, model: ModelInfo) -> str:
        """Of an encoder-decoder, such as sentence-t5, the encoder alone."""
        (architecture,) = model_config(model)["architectures"]
        return "AutoModelForTextEncoding" if str(architecture).endswith("EncoderModel") else self.auto

    def states(self, rows: Sequence[Row]) -> list[Any]:
        """Of each row those of its own tokens."""
        with self.torch.inference_mode():
            states = self.model(**self._inputs(rows)).last_hidden_state.float()
            return [found[: len(row.ids)] for found, row in zip(states, rows, strict=True)]

    def vectors(self, rows: Sequence[Row], pooling: Pooling) -> Any:
        inputs = self._inputs(rows)
        with self.torch.inference_mode():
            states = self.model(**inputs).last_hidden_state.float()
            mask = inputs["attention_mask"]
            match pooling:
                case "cls":
                    return states[:, 0]
                case "last":
                    return self._last(states, mask)
                case "mean":
                    return (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)


def _first_less_second(logits: Any) -> Any:
    return logits[:, 0] if logits.shape[1] == 1 else logits[:, 0] - logits[:, 1]


def _padded(values: Sequence[int], filler: int, longest: int) -> list[int]:
    return [*values, *[filler] * (longest - len(values))]
