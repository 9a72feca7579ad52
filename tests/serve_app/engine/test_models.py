"""A model is found, told apart by its config, and identified by its weights; what cannot be is an error with a
remedy.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from huggingface_hub import constants

from pipelines.base.extras import JOB
from serve_app.engine import models
from serve_app.engine.models import USUAL_MAX_LENGTH, describe
from serve_app.recipes import files
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError
from tests.checkpoints.sentence_transformers import add_modules, pooling


def make_model(folder: Path, weights: bytes = b"weights", **config: Any) -> Path:
    """A folder that looks like a model: its config.json and a file of weights."""
    folder.mkdir(exist_ok=True)
    classifier = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "relevant"}}
    described = classifier | {"max_position_embeddings": 512} | config
    (folder / "config.json").write_text(json.dumps(described), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def settings_of(folder: Path, **settings: Any) -> ModelSettings:
    return ModelSettings(name=str(folder), **settings)


def refusal(settings: ModelSettings) -> str:
    with pytest.raises(ConfigError) as caught:
        describe(settings)
    message = str(caught.value)
    assert "\n" not in message, "the command line prints errors in one line"
    return message


def test_the_embedded_model_is_the_default_and_needs_no_hub() -> None:
    info = describe(ModelSettings())
    assert (info.name, info.family, info.max_length) == ("embedded:all-MiniLM-L6-v2", "embedding", 256)
    assert (Path(info.path) / "model.safetensors").is_file()
    assert info.digest is not None
    assert len(info.digest) == 64


def test_the_embedded_model_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    assert refusal(ModelSettings()).endswith(f"needs its package, which this install lacks: {JOB}")


def test_the_tiny_models_are_of_their_families(
    tiny_qwen3: Path, tiny_cross_encoder: Path, tiny_xlm_roberta: Path
) -> None:
    assert describe(settings_of(tiny_qwen3)).family == "qwen3-reranker"
    assert describe(settings_of(tiny_cross_encoder)).family == "cross-encoder"
    assert describe(settings_of(tiny_xlm_roberta)).family == "cross-encoder"


@pytest.mark.parametrize(
    ("architecture", "family"),
    [
        ("BertForSequenceClassification", "cross-encoder"),
        ("XLMRobertaForSequenceClassification", "cross-encoder"),
        ("ModernBertForSequenceClassification", "cross-encoder"),
        ("BertModel", "embedding"),
        ("XLMRobertaModel", "embedding"),
    ],
)
def test_the_architecture_tells_the_family(tmp_path: Path, architecture: str, family: str) -> None:
    folder = make_model(tmp_path, architectures=[architecture])
    assert describe(settings_of(folder)).family == family


def test_qwen3_embedding_is_told_from_qwen3_reranker_by_its_pooling(tmp_path: Path) -> None:
    folder = make_model(tmp_path, architectures=["Qwen3ForCausalLM"])
    add_modules(folder, [pooling("lasttoken", 64)])
    assert describe(settings_of(folder)).family == "embedding"


@pytest.mark.parametrize("architectures", [["BartForConditionalGeneration"]])
def test_an_unknown_architecture_is_an_error_that_names_the_remedy(tmp_path: Path, architectures: Any) -> None:
    message = refusal(settings_of(make_model(tmp_path, architectures=architectures)))
    assert "is scored is not known" in message and "model.recipe" in message


def test_a_family_that_is_set_has_to_agree(tmp_path: Path) -> None:
    folder = make_model(tmp_path, architectures=["BertModel"])
    assert describe(settings_of(folder, family="embedding")).family == "embedding"
    assert "is scored as embedding" in refusal(settings_of(folder, family="cross-encoder"))


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        ({"max_position_embeddings": 512}, 512),
        ({"max_position_embeddings": 514, "model_type": "xlm-roberta"}, 512),
        ({"max_position_embeddings": 514, "model_type": "roberta"}, 512),
        ({"max_position_embeddings": 514, "model_type": "camembert"}, 512),
        ({"max_position_embeddings": 514, "model_type": "mpnet"}, 512),
        ({"max_position_embeddings": 40_960, "architectures": ["ModernBertModel"]}, USUAL_MAX_LENGTH),
    ],
)
def test_the_limit_is_the_models_own(tmp_path: Path, config: dict[str, Any], limit: int) -> None:
    folder = make_model(tmp_path, **config)
    assert describe(settings_of(folder)).max_length == limit
    assert describe(settings_of(folder, max_length=100)).max_length == 100


def test_sentence_transformers_limit_binds_embedding_models(tmp_path: Path) -> None:
    folder = make_model(tmp_path, architectures=["BertModel"])
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 128}', encoding="utf-8")
    assert describe(settings_of(folder)).max_length == 128
    assert "more than" in refusal(settings_of(folder, max_length=129))


def test_a_limit_may_be_raised_to_what_the_model_reads_and_not_beyond(tmp_path: Path) -> None:
    folder = make_model(tmp_path, max_position_embeddings=40_960)
    assert describe(settings_of(folder, max_length=40_960)).max_length == 40_960
    assert "model.max_length 40961 is more than" in refusal(settings_of(folder, max_length=40_961))


@pytest.mark.parametrize("kind", ["late-interaction", "listwise"])
def test_a_kind_that_transformers_does_not_compute_here_is_refused_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(models, "recognise", lambda *_: SimpleNamespace(kind=kind, name="own"))
    told = rf"engine.backend transformers: .* recipe own \({kind}\).* Leave engine.backend out\.$"
    with pytest.raises(ConfigError, match=told):
        describe(settings_of(make_model(tmp_path)), "transformers")


def test_a_cross_encoder_takes_no_instruction(tmp_path: Path) -> None:
    assert "Remove it." in refusal(settings_of(make_model(tmp_path), instruction="Judge the tone."))


@pytest.mark.parametrize("name", ["./nowhere", "/no/such/folder", "~/nowhere", "no-owner", "a/b/c"])
def test_a_name_that_is_neither_folder_nor_hub_id_is_an_error(name: str) -> None:
    assert refusal(ModelSettings(name=name)).startswith(f"model.name {name}: no such folder, and not a Hugging Face id")


def test_a_hub_id_offline_is_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    message = refusal(ModelSettings(name="nobody-at-all/no-such-model"))
    assert message.startswith("model.name nobody-at-all/no-such-model: cannot read config.json")
    assert "HF_HUB_OFFLINE=1 is set" in message


def test_a_folder_without_config_is_an_error(tmp_path: Path) -> None:
    assert "cannot read config.json" in refusal(settings_of(tmp_path))


def test_a_config_that_is_not_json_is_an_error(tmp_path: Path) -> None:
    (make_model(tmp_path) / "config.json").write_text("{", encoding="utf-8")
    assert "cannot read config.json" in refusal(settings_of(tmp_path))


def test_a_copy_has_the_same_digest_and_other_weights_another(tmp_path: Path) -> None:
    first, second, other = (
        describe(settings_of(make_model(tmp_path / name, name[:1].encode()))) for name in ("a", "ab", "b")
    )
    assert first.digest == second.digest != other.digest


# --- the hub ---

COMMIT, NEXT_COMMIT = "22e683669bc0f0bd69640a1354a6d0aebec14e0b", "e61197ed45024b0ed8a2d74b80b4d909f1255473"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str | None, str]:
    """A hub's cache, as huggingface_hub lays it out: branch, or none -> commit. Tests move branches."""
    branches: dict[str | None, str] = {None: COMMIT, "main": COMMIT}
    for commit in (COMMIT, NEXT_COMMIT):
        (tmp_path / "snapshots").mkdir(exist_ok=True)
        make_model(tmp_path / "snapshots" / commit)

    def download(repository: str, file: str, revision: str | None) -> Path:
        path = tmp_path / "snapshots" / branches.get(revision, revision or "") / file
        if not path.exists():
            raise FileNotFoundError(f"{file} is not in {repository}")
        return path

    monkeypatch.setattr(files, "download", download)
    return branches


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_a_branch_of_the_hub_is_resolved_to_its_commit_which_is_what_will_be_loaded(
    hub: dict[str | None, str], revision: str | None
) -> None:
    settings = ModelSettings(name="owner/model", revision=revision)
    before = describe(settings)
    assert (before.path, before.revision, before.digest) == ("owner/model", COMMIT, None)
    hub[None] = hub["main"] = NEXT_COMMIT
    assert describe(settings).revision == (COMMIT if revision == COMMIT else NEXT_COMMIT)


@pytest.mark.parametrize("revision", [None, "main", COMMIT])
def test_the_commit_is_found_in_what_was_downloaded_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str | None
) -> None:
    """In a cache as huggingface_hub leaves it, without the hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--owner--model"
    for place in (repository, repository / "refs", repository / "snapshots"):
        place.mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    make_model(repository / "snapshots" / COMMIT)
    assert describe(ModelSettings(name="owner/model", revision=revision)).revision == COMMIT


def test_a_folder_has_no_revisions(tmp_path: Path) -> None:
    assert "has no revisions" in refusal(settings_of(make_model(tmp_path), revision="main"))
