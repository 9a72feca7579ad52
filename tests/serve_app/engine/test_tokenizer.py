"""A tokenizer is loaded as Transformers reads it, and code of the model's own runs only where the user trusts it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.direct.scorer import DirectScorer
from serve_app.engine.models import ModelInfo
from serve_app.engine.procedure import load_encoder
from serve_app.engine.tokenizer import load_tokenizer
from serve_app.recipes.cross_encoder import CrossEncoderRecipe
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError
from tests.tiny_models import make_tiny_cross_encoder

CODE = """
from pathlib import Path
from transformers import BertTokenizer

class Own(BertTokenizer):
    pass

Path("it-ran").touch()
"""


@pytest.fixture
def own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cross-encoder whose tokenizer is code of its own, which leaves a file where it runs; nobody may be asked."""

    def asked(question: str = "") -> str:
        raise AssertionError(f"asked on the terminal: {question}")

    monkeypatch.setattr("builtins.input", asked)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = make_tiny_cross_encoder(tmp_path / "model")
    (folder / "own.py").write_text(CODE)
    file = folder / "tokenizer_config.json"
    told = json.loads(file.read_text()) | {"tokenizer_class": "Own", "auto_map": {"AutoTokenizer": ["own.Own", None]}}
    file.write_text(json.dumps(told))
    return folder


def model_of(folder: Path, **more: Any) -> ModelInfo:
    return ModelInfo("mine", str(folder), None, CrossEncoderRecipe(), 128, None, **more)


@pytest.mark.parametrize("load", [load_tokenizer, lambda model: load_encoder(model, ModelSettings())])
def test_code_of_the_models_own_does_not_run_unless_it_is_trusted_and_nobody_is_asked(
    own_code: Path, load: Any
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(model_of(own_code))
    assert str(caught.value) == (
        "model.name mine: tokenizer_config.json names Own, which is code of the model's own. Read it, then set "
        "model.trust_remote_code: true"
    )
    assert not (own_code.parent / "it-ran").exists()
    load(model_of(own_code, trust_remote_code=True))
    assert (own_code.parent / "it-ran").exists()


def test_nor_does_it_in_the_second_path(own_code: Path) -> None:
    with pytest.raises(ConfigError, match=r"model.trust_remote_code: true"):
        DirectScorer(model_of(own_code), ModelSettings())
    scorer = DirectScorer(model_of(own_code, trust_remote_code=True), ModelSettings())
    assert len(scorer.score("a", ["b", "c"])) == 2


def test_a_config_that_is_code_of_the_models_own_is_told_as_well(own_code: Path) -> None:
    """The tokenizer's class is Transformers' own, but the config says nothing without the model's code."""
    for name, told in (
        ("tokenizer_config.json", {"tokenizer_class": None, "auto_map": {"AutoTokenizer": ["own.Own", None]}}),
        ("config.json", {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}),
    ):
        file = own_code / name
        file.write_text(json.dumps(json.loads(file.read_text()) | told))
    with pytest.raises(ConfigError, match=r"own. Read it, then set model.trust_remote_code: true") as caught:
        load_tokenizer(model_of(own_code))
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_tokenizer_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^model.name mine: its tokenizer cannot be loaded: .*") as caught:
        load_tokenizer(model_of(tmp_path))
    assert "\n" not in str(caught.value)
