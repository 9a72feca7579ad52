"""What decides a model's scores and is followed by no recipe is refused in one line, whatever the user says of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from serve_app.engine.models import describe
from serve_app.recipes.files import ModelFiles
from serve_app.recipes.whole import UNSCORED, known_quantizations, require_whole
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError
from tests.checkpoints.layouts import classifier, lay_out, pooled


def files_of(folder: Path, contents: dict[str, Any]) -> ModelFiles:
    """A folder with these files, and a config.json of a plain cross-encoder unless they have their own."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {"config.json": {"architectures": ["BertForSequenceClassification"], "model_type": "bert"}}
    for name, content in (plain | contents).items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    return ModelFiles("mine", str(folder), None)


def refusal(files: ModelFiles, **settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        require_whole(ModelSettings(name="mine", **settings), files)
    message = str(caught.value)
    assert message.startswith("model.name mine: ") and message.endswith(".") and "\n" not in message
    return message


def config(architecture: str, **more: Any) -> dict[str, Any]:
    return {"config.json": {"architectures": [architecture]} | more}


def test_a_plain_model_passes(tmp_path: Path) -> None:
    require_whole(ModelSettings(name="mine"), files_of(tmp_path, {}))


@pytest.mark.parametrize("said", [{}, {"recipe": "qwen3-reranker"}, {"family": "cross-encoder"}])
def test_an_adapter_that_is_not_merged_is_refused_whatever_the_user_says(tmp_path: Path, said: dict[str, Any]) -> None:
    files = files_of(tmp_path, {"adapter_config.json": {"peft_type": "LORA", "base_model_name_or_path": "a/b"}})
    assert "adapter_config.json says LORA weights on top of a/b" in refusal(files, **said)
    assert "Merge them" in refusal(files)


@pytest.mark.parametrize("architecture", [name if name[0] != "F" else f"Bert{name}" for name in UNSCORED])
@pytest.mark.parametrize("said", [{}, {"family": "cross-encoder"}])
def test_what_nothing_here_scores_is_refused_with_the_true_reason(
    tmp_path: Path, architecture: str, said: dict[str, Any]
) -> None:
    """No word of the user makes it work, and none is asked for."""
    told = refusal(files_of(tmp_path, config(architecture)), **said)
    assert f"config.json says {architecture}, which " in told and told.endswith("Choose another model.")
    assert "model.family" not in told and "model.recipe" not in told


def test_a_masked_language_model_that_pools_is_an_embedding_model(tmp_path: Path) -> None:
    pooled = {"modules.json": [{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}]}
    require_whole(ModelSettings(name="mine"), files_of(tmp_path, config("XLMRobertaForMaskedLM") | pooled))


@pytest.mark.parametrize(("named", "told"), [([], "no architecture"), (["A", "B"], "2 architectures (A, B)")])
def test_a_config_that_does_not_name_one_architecture_is_refused(tmp_path: Path, named: list[str], told: str) -> None:
    assert f"config.json names {told}" in refusal(files_of(tmp_path, {"config.json": {"architectures": named}}))


def test_a_model_whose_prompt_is_not_published_is_refused_unless_the_user_writes_it(tmp_path: Path) -> None:
    files = files_of(tmp_path / "nv-rerankqa-mistral-4b-v3", config("MistralForSequenceClassification"))
    assert "its prompt is not published" in refusal(files)
    require_whole(ModelSettings(name="mine", recipe={"kind": "cross-encoder"}), files)


@pytest.mark.parametrize("method", ["gptq", "awq_marlin", "compressed-tensors", "auto-round"])
def test_quantized_weights_that_vllm_reads_pass(tmp_path: Path, method: str) -> None:
    more = {"quantization_config": {"quant_method": method}}
    require_whole(ModelSettings(name="mine"), files_of(tmp_path, config("BertModel", **more)))


def test_quantized_weights_that_vllm_does_not_know_are_refused(tmp_path: Path) -> None:
    files = files_of(tmp_path, config("BertModel", quantization_config={"quant_method": "aqlm"}))
    assert "quant_method aqlm, which vLLM does not know" in refusal(files)


def test_the_methods_are_those_of_the_installed_vllm() -> None:
    from vllm.model_executor.layers.quantization import QUANTIZATION_METHODS

    assert known_quantizations() == set(QUANTIZATION_METHODS)


@pytest.mark.parametrize(
    ("contents", "told"),
    [
        (config("NewModel", model_type="new", auto_map={"AutoConfig": "configuration.NewConfig"}), "model_type new"),
        (
            {"tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["t.Mine", None]}, "tokenizer_class": "Mine"}},
            "Mine",
        ),
    ],
)
def test_a_model_that_only_its_own_code_can_read_needs_the_users_trust(
    tmp_path: Path, contents: dict[str, Any], told: str
) -> None:
    files = files_of(tmp_path, contents)
    assert told in refusal(files) and refusal(files).endswith("set model.trust_remote_code: true.")
    require_whole(ModelSettings(name="mine", trust_remote_code=True), files)


@pytest.mark.parametrize(
    "contents",
    [
        config("XLMRobertaForSequenceClassification", model_type="xlm-roberta", auto_map={"AutoConfig": "a/b--c.C"}),
        {"tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["t.T", None]}, "tokenizer_class": "BertTokenizer"}},
    ],
    ids=["a config that Transformers has too", "a tokenizer that Transformers has too"],
)
def test_code_that_is_not_needed_asks_for_no_trust(tmp_path: Path, contents: dict[str, Any]) -> None:
    require_whole(ModelSettings(name="mine"), files_of(tmp_path, contents))


ELSEWHERE = {"AutoModel": "owner/code--modeling.Model"}
COMMIT = "0123456789" * 4


@pytest.mark.parametrize(
    ("auto_map", "tokenizer", "said", "refused"),
    [
        (ELSEWHERE, None, {"trust_remote_code": True}, True),
        (None, {"AutoTokenizer": ["owner/code--tok.Tok", None]}, {"trust_remote_code": True}, True),
        (ELSEWHERE, None, {"trust_remote_code": True, "code_revision": COMMIT}, False),
        ({"AutoModel": "modeling.Model"}, None, {"trust_remote_code": True}, False),
        (ELSEWHERE, None, {}, False),
        (None, None, {"trust_remote_code": True}, False),
    ],
)
def test_code_of_another_repository_is_named_by_its_commit_or_refused(
    tmp_path: Path, auto_map: Any, tokenizer: Any, said: dict[str, Any], refused: bool
) -> None:
    told = {"auto_map": tokenizer, "tokenizer_class": "BertTokenizer"}
    files = files_of(tmp_path, config("BertModel", auto_map=auto_map) | {"tokenizer_config.json": told})
    settings = ModelSettings(name="mine", **said)
    if not refused:
        require_whole(settings, files)
        return
    with pytest.raises(ConfigError, match=r"code of owner/code, .* model.code_revision to a commit of it"):
        require_whole(settings, files)


# Transformers 5 computes them with absolute positions, and says nothing.
@pytest.mark.parametrize("positions", ["relative_key", "relative_key_query", "alibi", "rotary"])
@pytest.mark.parametrize("architecture", ["BertForSequenceClassification", "XLMRobertaForSequenceClassification"])
def test_positions_that_neither_backend_reads_are_refused(tmp_path: Path, architecture: str, positions: str) -> None:
    kind = {"B": "bert", "X": "xlm-roberta"}[architecture[0]]
    for backend in ("vllm", "transformers"):
        for brings, mend in ((None, "Choose another model"), ({"AutoModel": "m.M"}, "model.trust_remote_code: true")):
            more = {"position_embedding_type": positions} | ({"auto_map": brings} if brings else {})
            folder = lay_out(tmp_path, classifier(architecture, kind, **more))
            with pytest.raises(ConfigError, match=f"position_embedding_type {positions}") as caught:
                describe(ModelSettings(name=str(folder)), backend)
            assert mend in str(caught.value)


def test_a_masked_model_that_pools_is_told_what_to_save_it_as(tmp_path: Path) -> None:
    folder = lay_out(tmp_path, config("BertForMaskedLM") | pooled("mean_tokens"))
    with pytest.raises(ConfigError, match="save it again, as BertModel"):
        describe(ModelSettings(name=str(folder)))
