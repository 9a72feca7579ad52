"""A key that says something, and whose meaning nobody here knows, may decide a score: the model is refused."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from serve_app.recipes.files import ModelFiles
from serve_app.recipes.known_keys import MODEL, MODULES, TRANSFORMER, require_known_keys
from stages.core.errors import ConfigError
from tests.checkpoints.layouts import ETTIN, NEW_ZERANK, PYLATE, Files, lay_out

# Where sentence-transformers has the classes, and which part of each file they write.
CLASSES = {
    "Pooling": "sentence_transformer.modules.pooling",
    "Dense": "base.modules.dense",
    "LayerNorm": "sentence_transformer.modules.layer_norm",
    "Normalize": "base.modules.normalize",
    "Dropout": "sentence_transformer.modules.dropout",
    "LogitScore": "cross_encoder.modules.logit_score",
}


@pytest.mark.parametrize("kind", CLASSES)
def test_the_keys_are_those_that_the_installed_library_writes(kind: str) -> None:
    assert set(MODULES) == set(CLASSES)
    written = getattr(import_module(f"sentence_transformers.{CLASSES[kind]}"), kind).config_keys
    assert set(written) <= set(MODULES[kind])


def test_those_of_the_transformer_too() -> None:
    written = import_module("sentence_transformers.base.modules.transformer").Transformer.config_keys
    assert set(written) <= TRANSFORMER


@pytest.mark.parametrize("files", [ETTIN, NEW_ZERANK, PYLATE], ids=["Ettin", "zerank", "GTE-ModernColBERT"])
def test_a_published_layout_has_known_keys_alone(tmp_path: Path, files: Files) -> None:
    require_known_keys(ModelFiles("mine", str(lay_out(tmp_path, files)), None))
    assert set(files.get("config_sentence_transformers.json", {})) <= MODEL


@pytest.mark.parametrize(
    ("file", "value", "refused"),
    [
        ("sentence_bert_config.json", "0.5", True),
        ("config_sentence_transformers.json", {"a": 1}, True),
        ("1_Pooling/config.json", True, True),
        ("2_Dense/config.json", "mine", True),
        ("3_LayerNorm/config.json", 1e-3, True),
        ("1_Pooling/config.json", False, False),
        ("config_sentence_transformers.json", None, False),
    ],
)
def test_a_key_of_a_release_to_come_is_refused_where_it_says_something(
    tmp_path: Path, file: str, value: object, refused: bool
) -> None:
    told = dict(ETTIN.get(file, {})) | {"temperature": value}
    files = ModelFiles("mine", str(lay_out(tmp_path, {**ETTIN, file: told})), None)
    if not refused:
        require_known_keys(files)
        return
    with pytest.raises(ConfigError, match=rf"^model.name mine: {file} says temperature .* not known here"):
        require_known_keys(files)
