"""The modules behind a model's pooling: dense and normalization layers, applied to pooled vectors in float32.

vLLM applies dense layers by itself, without layer normalization and residuals, and to what it has not normalized: it is
shown a folder without them (`without_modules`).
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from serve_app.recipes.modules import MODULES, OWN_CONFIG, DenseStep, LayerNormStep, Step
from serve_app.recipes.transformer import TRANSFORMER_CONFIGS
from stages.core.errors import ConfigError

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
# What sentence-transformers keeps beside a Transformer: read here, and not to be read by vLLM.
LEFT_OUT = frozenset({MODULES, OWN_CONFIG, *TRANSFORMER_CONFIGS})
# Of a hub repository: all that loading reads, and no weights of other frameworks.
LOADED = ["*.json", "*.txt", "*.model", "*.jinja", "*.py", "*.safetensors"]
LOADED_WITHOUT_SAFETENSORS = [*LOADED, "*.bin"]

Apply = Callable[[Any], Any]


class Head:
    """The steps of one model, with weights from its `folder`, which is not needed where no step has any. Raises
    ConfigError where they are not there.
    """

    def __init__(self, steps: Sequence[Step], folder: Path | None) -> None:
        self._steps = [_step(step, folder or Path()) for step in steps]

    def all(self, vectors: Sequence[Any]) -> list[Any]:
        """What becomes of each of several vectors, which are at least one."""
        import torch

        with torch.inference_mode():
            rows = torch.stack(list(vectors))
            for step in self._steps:
                rows = step(rows)
        return list(rows)


def model_folder(path: str, revision: str | None) -> Path:
    """The model's folder, downloaded whole where `path` is a hub id. Raises ConfigError where that fails."""
    if Path(path).is_dir():
        return Path(path)
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(path, revision=revision, allow_patterns=LOADED))
        if not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(path, revision=revision, allow_patterns=LOADED_WITHOUT_SAFETENSORS))
    except (OSError, ValueError) as error:
        raise ConfigError(f"model.name {path}: cannot download its files ({error}).") from error
    return folder


def without_modules(folder: Path) -> Path:
    """A folder of links to the files of `folder`, less those of sentence-transformers. It is made once: its name tells
    what it links to, so that whatever vLLM keeps for a folder's name is found again.
    """
    links = {file.name: file.resolve() for file in sorted(folder.iterdir()) if file.is_file()}
    links = {name: target for name, target in links.items() if name not in LEFT_OUT}
    name = hashlib.sha256("\n".join(f"{name} {target}" for name, target in links.items()).encode()).hexdigest()[:16]
    place = _folders() / f"{folder.name}-{name}"
    if not place.is_dir():
        _make(place, links)
    return place


def _folders() -> Path:
    """In the user's cache, or where that cannot be written to in one that every start makes anew."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    folders = cache / "rerank-eval" / "folders"
    try:
        folders.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="rerank-eval-"))
    return folders if os.access(folders, os.W_OK) else Path(tempfile.mkdtemp(prefix="rerank-eval-"))


def _make(place: Path, links: Mapping[str, Path]) -> None:
    """Whole or not at all: several engines may start at once."""
    made = Path(tempfile.mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    for name, target in links.items():
        (made / name).symlink_to(target)
    try:
        made.rename(place)
    except OSError:  # another engine was faster
        for name in links:
            (made / name).unlink()
        made.rmdir()


def _step(step: Step, folder: Path) -> Apply:
    """Without weights nothing needs torch before there is a vector: who only makes prompts does without it."""
    if isinstance(step, DenseStep):
        return _dense(step, _weights(folder / step.folder))
    if isinstance(step, LayerNormStep):
        import torch

        weights = _weights(folder / step.folder) if step.folder else {}
        weight, bias = weights.get("norm.weight"), weights.get("norm.bias")
        return lambda vectors: torch.layer_norm(vectors, (step.size,), weight, bias)
    return _normalized


def _normalized(vectors: Any) -> Any:
    from torch.nn.functional import normalize

    return normalize(vectors, p=2.0, dim=-1)


def _dense(step: DenseStep, weights: Mapping[str, Any]) -> Apply:
    from torch.nn.functional import linear

    names = ["linear.weight", *(["linear.bias"] if step.bias else [])]
    projected = step.residual and step.inputs != step.outputs
    names += ["residual.weight"] if projected else []
    if missing := [name for name in names if name not in weights]:
        raise ConfigError(f"model.name: {step.folder} has no weights {missing[0]}, which its config.json tells of.")
    weight, bias, activation = weights["linear.weight"], weights.get("linear.bias"), ACTIVATE[step.activation]

    def apply(vectors: Any) -> Any:
        result = activation(linear(vectors, weight, bias if step.bias else None))
        if step.residual:
            result = result + (linear(vectors, weights["residual.weight"]) if projected else vectors)
        return result

    return apply


def _weights(folder: Path) -> dict[str, Any]:
    """A module's weights, in float32."""
    import torch

    for name in WEIGHTS:
        file = folder / name
        if file.is_file():
            found = _load(file)
            return {key: value.to(torch.float32) for key, value in found.items()}
    raise ConfigError(f"model.name: {folder} has no weights: neither {' nor '.join(WEIGHTS)} is there.")


def _load(file: Path) -> dict[str, Any]:
    import torch
    from safetensors.torch import load_file

    try:
        if file.suffix == ".safetensors":
            return dict(load_file(file))
        return dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:
        raise ConfigError(f"model.name: cannot read {file} ({error}).") from error


def _activate(name: str) -> Apply:
    def apply(vectors: Any) -> Any:
        from torch.nn import functional

        return vectors if name == "identity" else getattr(functional, name)(vectors)

    return apply


# torch.nn.functional's names, with the defaults that the classes have.
ACTIVATE: dict[str, Apply] = {
    name: _activate(name)
    for name in ("identity", "tanh", "gelu", "relu", "silu", "sigmoid", "leaky_relu", "elu", "mish", "softplus")
}
