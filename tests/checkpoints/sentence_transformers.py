"""What sentence-transformers keeps beside a Transformer: modules.json, the folders of its modules, its own configs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file

from tests.tiny_models import SEED

# The classes' names as releases before 5.4 wrote them, in nearly every published model.
OLD = "sentence_transformers.models"
IDENTITY, TANH, GELU = (
    f"torch.nn.modules.{name}" for name in ("linear.Identity", "activation.Tanh", "activation.GELU")
)


class Module(NamedTuple):
    """One line of modules.json: the class, its config.json, and its weights."""

    type: str
    config: Mapping[str, Any]
    weights: Mapping[str, torch.Tensor] = {}


def pooling(mode: str | Sequence[str], size: int, **others: Any) -> Module:
    """As older releases write it: one flag for each mode."""
    modes = [mode] if isinstance(mode, str) else mode
    names = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}
    flags = {f"pooling_mode_{names.get(one, one)}": True for one in modes}
    return Module(
        f"{OLD}.Pooling", {"word_embedding_dimension": size, "pooling_mode_mean_tokens": False} | flags | others
    )


def dense(inputs: int, outputs: int, activation: str = TANH, *, bias: bool = True, **others: Any) -> Module:
    weights = {"linear.weight": _random(outputs, inputs)} | ({"linear.bias": _random(outputs)} if bias else {})
    if others.get("use_residual") and inputs != outputs:
        weights["residual.weight"] = _random(outputs, inputs).flip(0)
    config = {"in_features": inputs, "out_features": outputs, "bias": bias, "activation_function": activation}
    return Module(f"{OLD}.Dense", config | others, weights)


def layer_norm(size: int) -> Module:
    return Module(
        f"{OLD}.LayerNorm", {"dimension": size}, {"norm.weight": 1 + _random(size), "norm.bias": _random(size)}
    )


def normalize() -> Module:
    return Module(f"{OLD}.Normalize", {})


def add_modules(folder: Path, modules: Sequence[Module]) -> None:
    """modules.json, with the Transformer itself first, and a folder for each of the others."""
    torch.manual_seed(SEED)
    lines = [{"idx": 0, "name": "0", "path": "", "type": f"{OLD}.Transformer"}]
    for index, module in enumerate(modules, 1):
        place = folder / f"{index}_{module.type.rpartition('.')[2]}"
        place.mkdir()
        write_json(place / "config.json", module.config)
        if module.weights:
            save_file(dict(module.weights), place / "model.safetensors")
        lines.append({"idx": index, "name": str(index), "path": place.name, "type": module.type})
    write_json(folder / "modules.json", lines)


def write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2), encoding="utf-8")


def change_json(path: Path, **changes: Any) -> None:
    """Keys of a file that is there; None removes one."""
    content = json.loads(path.read_text(encoding="utf-8")) | changes
    write_json(path, {key: value for key, value in content.items() if value is not None})


def _random(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(SEED + sum(shape))
    return torch.randn(*shape, generator=generator) / shape[-1] ** 0.5
