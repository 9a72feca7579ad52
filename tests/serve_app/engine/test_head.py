"""The modules behind a model's pooling: their weights, and the folder that vLLM is shown in their place."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from serve_app.engine.head import Head, without_modules
from serve_app.recipes.modules import DenseStep, LayerNormStep
from stages.core.errors import ConfigError
from tests.checkpoints.sentence_transformers import add_modules, dense, pooling, write_json


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "model"
    folder.mkdir()
    write_json(folder / "config.json", {"architectures": ["BertModel"]})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": None})
    (folder / "model.safetensors").write_bytes(b"weights")
    add_modules(folder, [pooling("mean", 4), dense(4, 2)])
    return folder


def test_vllm_sees_all_files_but_those_of_sentence_transformers(model: Path) -> None:
    shown = without_modules(model)
    assert {file.name for file in shown.iterdir()} == {"config.json", "model.safetensors"}
    assert (shown / "model.safetensors").read_bytes() == b"weights"
    assert without_modules(model) == shown, "whatever is kept for its name is found again"
    (model / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert without_modules(model) != shown, "a file that came later is there, too"


def test_where_the_cache_cannot_be_written_to_another_place_does(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(model / "config.json"))
    assert (without_modules(model) / "config.json").is_file()


def test_weights_that_are_missing_or_cannot_be_read_are_told(model: Path) -> None:
    step = DenseStep(folder="2_Dense", inputs=4, outputs=2, activation="tanh")
    (vector,) = Head([step], model).all([torch.ones(4)])
    assert vector.shape == (2,) and bool(vector.abs().max() <= 1)
    with pytest.raises(ConfigError, match=r"2_Dense has no weights residual.weight"):
        Head([step.model_copy(update={"residual": True})], model)
    with pytest.raises(ConfigError, match="3_LayerNorm has no weights: neither"):
        Head([LayerNormStep(folder="3_LayerNorm", size=4)], model)
    (model / "2_Dense" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ConfigError, match="cannot read"):
        Head([step], model)


def test_old_weights_are_read_as_well(model: Path) -> None:
    (model / "2_Dense" / "model.safetensors").unlink()
    torch.save({"linear.weight": torch.eye(4), "linear.bias": torch.zeros(4)}, model / "2_Dense" / "pytorch_model.bin")
    step = DenseStep(folder="2_Dense", inputs=4, outputs=4, activation="identity")
    assert Head([step], model).all([torch.arange(4.0)])[0].tolist() == [0, 1, 2, 3]
