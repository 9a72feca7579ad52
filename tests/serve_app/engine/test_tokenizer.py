"""A tokenizer is loaded as Transformers reads it, and code of the model's own runs only where the user trusts it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.direct.scorer import DirectScorer
from serve_app.engine.models import ModelInfo, describe
from serve_app.engine.procedure import load_encoder, require_procedure
from serve_app.engine.tokenizer import load_tokenizer
from serve_app.recipes.cross_encoder import CrossEncoderRecipe
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError
from tests.tiny_models import make_tiny_cross_encoder

CODE = """
from pathlib import Path
from transformers import BertConfig, BertTokenizer

class Own(BertTokenizer):
    pass

class OwnConfig(BertConfig):
    model_type = "own"

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
    changed(folder / "tokenizer_config.json", tokenizer_class="Own", auto_map={"AutoTokenizer": ["own.Own", None]})
    return folder


def changed(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def model_of(folder: Path, **more: Any) -> ModelInfo:
    return ModelInfo("mine", str(folder), None, CrossEncoderRecipe(), 128, None, **more)


def trusted(folder: Path) -> ModelInfo:
    return describe(ModelSettings(name=str(folder), trust_remote_code=True))


@pytest.mark.parametrize(
    "load",
    [
        load_tokenizer,
        lambda model: load_encoder(model, ModelSettings()),
        lambda model: DirectScorer(replace(model, recipe=trusted(Path(model.path)).recipe), ModelSettings()),
    ],
    ids=["tokenizer", "prompts", "the second path"],
)
def test_code_of_the_models_own_does_not_run_unless_it_is_trusted_and_nobody_is_asked(
    own_code: Path, load: Any
) -> None:
    changed(own_code / "config.json", model_type="own", auto_map={"AutoConfig": "own.OwnConfig"})
    with pytest.raises(ConfigError) as caught:
        load(model_of(own_code))
    assert str(caught.value) == (
        "model.name mine: its tokenizer cannot be loaded: it is code of the model's own. Read it, then set "
        "model.trust_remote_code: true"
    )
    assert not (own_code.parent / "it-ran").exists()


def test_what_is_trusted_runs(own_code: Path) -> None:
    assert type(load_tokenizer(model_of(own_code, trust_remote_code=True))).__name__ == "Own"
    assert (own_code.parent / "it-ran").exists()
    scorer = DirectScorer(trusted(own_code), ModelSettings())
    assert len(scorer.score("a", ["b", "c"])) == 2


@pytest.mark.parametrize(
    ("file", "values", "told"),
    [
        ("tokenizer_config.json", {}, "tokenizer_config.json says tokenizer_class Own"),
        ("config.json", {"model_type": "own", "auto_map": {"AutoConfig": "own.O"}}, "config.json says model_type own"),
    ],
)
def test_a_model_that_is_nothing_without_its_own_code_is_refused_before_anything_starts(
    own_code: Path, file: str, values: dict[str, Any], told: str
) -> None:
    """Transformers would take a tokenizer of its own in its place, without a word."""
    changed(own_code / file, **values)
    with pytest.raises(ConfigError, match=told) as caught:
        describe(ModelSettings(name=str(own_code)))
    assert str(caught.value).endswith("code of the model's own. Read it, then set model.trust_remote_code: true.")
    assert trusted(own_code).trust_remote_code
    assert trusted(own_code).remarks == ("code of the model's own may run (model.trust_remote_code)",)


def test_a_folder_without_a_tokenizer_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^model.name mine: its tokenizer cannot be loaded: .*") as caught:
        load_tokenizer(model_of(tmp_path))
    assert "\n" not in str(caught.value)


# Transformers 5 makes a tokenizer of special tokens alone: every text would be the same.
def test_a_folder_without_its_vocabulary_is_refused(tmp_path: Path) -> None:
    folder = make_tiny_cross_encoder(tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    for load in (
        lambda: load_tokenizer(model_of(folder)),
        lambda: require_procedure(model_of(folder), ModelSettings()),
    ):
        with pytest.raises(ConfigError, match="vocabulary of its BertTokenizer has 5 entries") as caught:
            load()
        assert "\n" not in str(caught.value)


def test_a_tokenizer_that_is_all_python_is_refused(tmp_path: Path) -> None:
    folder = make_tiny_cross_encoder(tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    changed(folder / "tokenizer_config.json", tokenizer_class="ByT5Tokenizer")
    with pytest.raises(ConfigError, match="its ByT5Tokenizer is none of the tokenizers library"):
        require_procedure(model_of(folder), ModelSettings())


def test_a_vocabulary_in_an_older_file_is_enough(tmp_path: Path) -> None:
    folder = make_tiny_cross_encoder(tmp_path / "model")
    before = load_tokenizer(model_of(folder))
    words = sorted(before.get_vocab(), key=before.get_vocab().get)
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    require_procedure(model_of(folder), ModelSettings())
    assert load_tokenizer(model_of(folder)).encode("what is it") == before.encode("what is it")
