"""A query's token vectors, computed in Transformers from the weights that the engine reads.

vLLM's encoders let every token attend to every other. Where a late-interaction model fills its queries up with mask
tokens that nothing attends to, that gives other vectors, so queries are computed here: one short text each, in float32
on the CPU. Documents are the engine's.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from serve_app.engine.models import ModelInfo, own_code
from serve_app.recipes.files import download
from stages.core.errors import ConfigError

# As they are saved: by sentence-transformers in each module's folder, by Stanford's code beside the encoder.
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
# What an encoder may lack: nothing here reads the vector that it makes of a whole text.
UNREAD = "pooler."
REMEMBERED = 64


class QueryVectors:
    """The encoder and its head. Several threads may call it. Raises ConfigError where weights are missing.

    `of(ids, attended)` gives one vector of length 1 for each token, as a numpy array; only the first `attended` tokens
    are attended to. A query is asked for again where its documents are read in passages: the last ones are remembered.
    """

    def __init__(self, model: ModelInfo, head: Sequence[str]) -> None:
        import torch

        self.of = lru_cache(REMEMBERED)(self._of)
        self._torch: Any = torch
        self._encoder: Any = _encoder(model)
        self._layers = [_dense(model, f"{folder}/") for folder in head] or [_dense(model, "")]

    def _of(self, ids: tuple[int, ...], attended: int) -> Any:
        torch = self._torch
        mask = torch.tensor([[1] * attended + [0] * (len(ids) - attended)])
        with torch.inference_mode():
            states = self._encoder(input_ids=torch.tensor([ids]), attention_mask=mask).last_hidden_state[0]
            for weight, bias in self._layers:
                states = torch.nn.functional.linear(states, weight, bias)
            return torch.nn.functional.normalize(states, dim=-1).numpy()

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return int(self._layers[-1][0].shape[0])


def _encoder(model: ModelInfo) -> Any:
    import torch
    from transformers import AutoModel

    options: dict[str, Any] = {"revision": model.revision, "dtype": torch.float32, **own_code(model)}
    loaded, told = AutoModel.from_pretrained(model.path, output_loading_info=True, **options)
    if missing := sorted(name for name in told["missing_keys"] if not name.startswith(UNREAD)):
        raise ConfigError(f"model.name {model.name}: its weights lack {missing[0]}, which its queries are read with")
    return loaded.eval()


def _dense(model: ModelInfo, folder: str) -> tuple[Any, Any]:
    """The matrix and the bias, None where it has none, of a Dense module or of Stanford's projection."""
    for name in WEIGHT_FILES:
        try:
            weights = _weights(_file(model, folder + name))
        except FileNotFoundError:
            continue
        if "linear.weight" in weights:
            bias = weights.get("linear.bias")
            return weights["linear.weight"].float(), None if bias is None else bias.float()
    files = " or ".join(folder + name for name in WEIGHT_FILES)
    raise ConfigError(f"model.name {model.name}: no linear.weight in {files}, which makes its tokens' vectors")


def _file(model: ModelInfo, name: str) -> Path:
    folder = Path(model.path)
    return folder / name if folder.is_dir() else download(model.path, name, model.revision)


def _weights(file: Path) -> dict[str, Any]:
    """The head's alone: those of an encoder that lie beside them are not read."""
    if file.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(file, framework="pt") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys() if name.startswith("linear.")}  # noqa: SIM118
    import torch

    loaded: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    return {name: value for name, value in loaded.items() if name.startswith("linear.")}
