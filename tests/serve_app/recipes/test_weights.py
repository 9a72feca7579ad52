"""A folder that no engine could load is told before one starts, with what to do about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from serve_app.engine.models import describe
from serve_app.recipes import files as model_files
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError
from tests.checkpoints.layouts import OLD, Files, classifier, lay_out

ONE = classifier("BertForSequenceClassification", "bert")
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 12\n"
SHARDS = {
    "model.safetensors.index.json": {"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}
}
STATIC = [{"idx": 0, "name": "0", "path": "0_StaticEmbedding", "type": f"{OLD}.StaticEmbedding"}]

UNLOADABLE: dict[str, tuple[Files, str]] = {
    "weights that were not pulled": (ONE | {"model.safetensors": POINTER}, "git lfs pull"),
    "a tokenizer that was not pulled": (ONE | {"model.safetensors": "w", "tokenizer.json": POINTER}, "tokenizer.json"),
    "a layer that was not pulled": (ONE | {"2_Dense/model.safetensors": POINTER}, "2_Dense/model.safetensors"),
    "a part that is missing": (ONE | SHARDS | {"model-1-of-2.safetensors": "w"}, "1 of them are not there"),
    "ONNX alone": (ONE | {"onnx/model.onnx": "w"}, "ONNX alone"),
    "OpenVINO alone": (ONE | {"openvino/openvino_model.xml": "w"}, "OpenVINO alone"),
    "GGUF beside a config": (ONE | {"model-q4.gguf": "w"}, "GGUF alone"),
    "GGUF and nothing else": ({"model-q4.gguf": "w"}, "name the model that they were made from"),
    "nothing": ({"notes.md": "empty"}, "as Transformers saves it"),
    "the folder above": ({"checkpoint-500/config.json": ONE["config.json"]}, "its folder checkpoint-500: name that"),
    "the hub's cache": ({"snapshots/0a/config.json": ONE["config.json"]}, "its folder snapshots/0a: name that folder"),
    "a static model": ({"modules.json": STATIC, "0_StaticEmbedding/a.json": "{}"}, "StaticEmbedding"),
}


@pytest.mark.parametrize(("files", "told"), UNLOADABLE.values(), ids=UNLOADABLE)
def test_it_is_refused_in_one_line(tmp_path: Path, files: Files, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        describe(ModelSettings(name=str(lay_out(tmp_path, files))))
    assert told in str(caught.value) and "\n" not in str(caught.value)


LOADABLE: dict[str, Files] = {
    "ONNX beside the weights": {"model.safetensors": "w", "onnx/model.onnx": "w"},
    "all parts": {**SHARDS, "model-1-of-2.safetensors": "w", "model-2-of-2.safetensors": "w"},
    "in one file, with the index of parts": {**SHARDS, "model.safetensors": "w"},
    "older weights": {"pytorch_model.bin": "w", "tf_model.h5": "w"},
}


@pytest.mark.parametrize("files", LOADABLE.values(), ids=LOADABLE)
def test_weights_in_another_form_beside_the_models_own_do_no_harm(tmp_path: Path, files: Files) -> None:
    assert describe(ModelSettings(name=str(lay_out(tmp_path, {**ONE, **files})))).family == "cross-encoder"


def test_a_repository_without_a_config_is_told_with_what_to_name_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(repository: str, file: str, revision: str | None) -> Path:
        raise FileNotFoundError(f"{file} is not in {repository}")

    monkeypatch.setattr(model_files, "download", download)
    with pytest.raises(ConfigError, match="name the one that they were made from"):
        describe(ModelSettings(name="Qwen/Qwen3-Reranker-4B-GGUF"))


def test_an_index_that_names_no_file_is_left_to_the_engine(tmp_path: Path) -> None:
    files = {**ONE, "model.safetensors.index.json": json.dumps({"metadata": {}})}
    assert describe(ModelSettings(name=str(lay_out(tmp_path, files)))).family == "cross-encoder"
