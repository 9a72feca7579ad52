from __future__ import annotations

import re
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from serve_app.recipes import architectures
from serve_app.recipes.architectures import registered, require_computed, vllm_architectures, vllm_loads
from serve_app.settings import Backend
from stages.core.errors import ConfigError

REGISTRY = """
_TEXT_GENERATION_MODELS = {"LlamaForCausalLM": ("llama", "LlamaForCausalLM")}
_EMBEDDING_MODELS = {"BertModel": ("bert", "B"), **{k: v for k, v in _TEXT_GENERATION_MODELS.items()}}
_SPECULATIVE_DECODING_MODELS = {"EagleLlamaForCausalLM": ("llama_eagle", "E")}
_VLLM_MODELS = {**_TEXT_GENERATION_MODELS, **_EMBEDDING_MODELS, **_SPECULATIVE_DECODING_MODELS}
_PREVIOUSLY_SUPPORTED_MODELS = {"ErnieModel": "0.23.0"}
"""


def test_the_registry_is_read_as_vllm_itself_reads_it() -> None:
    from vllm.model_executor.models import registry

    drafts = set(registry._SPECULATIVE_DECODING_MODELS) - {
        name
        for table, models in vars(registry).items()
        if table.endswith("_MODELS") and table not in ("_SPECULATIVE_DECODING_MODELS", "_VLLM_MODELS")
        for name in models
    }
    assert vllm_architectures() == set(registry._VLLM_MODELS) - drafts


def test_what_is_no_longer_supported_or_only_drafts_is_not_listed(tmp_path: Path) -> None:
    source = tmp_path / "registry.py"
    source.write_text(REGISTRY, encoding="utf-8")
    assert registered(source) == {"LlamaForCausalLM", "BertModel"}


@pytest.mark.parametrize(
    ("architecture", "loading"),
    [
        ("BertForSequenceClassification", "native"),
        ("Qwen3ForCausalLM", "native"),
        ("JinaForRanking", "native"),
        ("Qwen2ForSequenceClassification", "converted"),
        ("Qwen3Model", "converted"),
        ("ElectraForSequenceClassification", "wrapped"),
        ("DebertaV2ForSequenceClassification", None),
        ("MPNetForSequenceClassification", None),
        ("DistilBertForSequenceClassification", None),
        ("AlbertForSequenceClassification", None),
        ("CamembertForSequenceClassification", None),
        ("MPNetModel", None),
        ("T5ForConditionalGeneration", None),
        ("SomebodysOwnForSequenceClassification", None),
    ],
)
def test_an_architecture_is_loaded_so(architecture: str, loading: str | None) -> None:
    assert vllm_loads(architecture) == loading


@pytest.mark.parametrize(
    ("architecture", "backend", "told"),
    [
        (
            "DebertaV2ForSequenceClassification",
            "vllm",
            "as it was published. Set engine.backend: transformers, which does",
        ),
        (
            "CamembertForSequenceClassification",
            "vllm",
            "as it was published. Set engine.backend: transformers, which does",
        ),
        ("SomebodysOwnModel", "vllm", "The other backend lacks it too: choose another model"),
        ("JinaForRanking", "transformers", "Transformers has no JinaForRanking. Leave engine.backend out: vLLM has it"),
        ("SomebodysOwnModel", "transformers", "The other backend lacks it too: choose another model"),
    ],
)
def test_what_a_backend_lacks_is_refused_with_the_one_that_has_it(
    architecture: str, backend: Backend, told: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(told)) as refusal:
        require_computed("a/model", architecture, backend)
    assert str(refusal.value).startswith("model.name a/model: ")
    assert architecture in str(refusal.value)


def test_what_a_backend_has_is_let_pass() -> None:
    require_computed("a/model", "BertForSequenceClassification", "vllm")
    require_computed("a/model", "BertForSequenceClassification", "transformers")
    require_computed("a/model", "DebertaV2ForSequenceClassification", "transformers")
    require_computed("a/model", "SomebodysOwnModel", "transformers", own_code=True)


def test_without_vllm_nothing_is_said_against_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(architectures, "find_spec", lambda _name: None)
    assert vllm_architectures() is None
    assert vllm_loads("DebertaV2ForSequenceClassification") == "native"


def test_a_folder_called_vllm_is_no_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModuleSpec("vllm", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(architectures, "find_spec", lambda _name: spec)
    assert vllm_architectures() is None
