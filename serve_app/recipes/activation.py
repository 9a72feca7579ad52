"""What a cross-encoder's files say of its raw value: sigmoid of it, or itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from serve_app.recipes.files import ModelFiles
from serve_app.recipes.modules import OWN_CONFIG, refused
from serve_app.recipes.recipe import Score

# As torch names the class -> the activation of a score. sentence-transformers' default for one label is sigmoid.
KNOWN = {
    "torch.nn.modules.activation.Sigmoid": "sigmoid",
    "torch.nn.modules.linear.Identity": "none",
    "torch.nn.Sigmoid": "sigmoid",
    "torch.nn.Identity": "none",
}


def score_of(files: ModelFiles) -> Score:
    """Raises ConfigError for an activation that is not known. The first place that names one counts."""
    for file, key, value in _told(files):
        if value not in KNOWN:
            raise refused(file, key, value, " or ".join(sorted(KNOWN)))
        return Score.model_validate({"activation": KNOWN[value]})
    return Score()


def _told(files: ModelFiles) -> Iterator[tuple[str, str, Any]]:
    """Where sentence-transformers 6.2 looks, in its order: file, key, value."""
    own = files.json(OWN_CONFIG, optional=True) or {}
    if own.get("activation_fn") is not None:
        yield OWN_CONFIG, "activation_fn", own["activation_fn"]
    section = files.config.get("sentence_transformers") or {}
    if section.get("activation_fn") is not None:
        yield "config.json", "sentence_transformers.activation_fn", section["activation_fn"]
    older = "sbert_ce_default_activation_function"
    if "activation_fn" not in section and files.config.get(older) is not None:
        yield "config.json", older, files.config[older]
