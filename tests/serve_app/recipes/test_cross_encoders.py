"""What a cross-encoder's files say of its score, or why it is refused before anything starts; no weights are needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from serve_app.engine.models import ModelInfo, describe
from serve_app.recipes.cross_encoder import CrossEncoderRecipe
from serve_app.recipes.modular import ModularRecipe
from serve_app.recipes.recipe import Score
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError
from tests.checkpoints.sentence_transformers import (
    GELU,
    IDENTITY,
    Module,
    add_modules,
    dense,
    layer_norm,
    pooling,
    write_json,
)

ONE = {"id2label": {"0": "LABEL_0"}}
CLASSIFIER = {"architectures": ["BertForSequenceClassification"], "model_type": "bert", "max_position_embeddings": 512}
ENCODER = {"architectures": ["ModernBertModel"], "model_type": "modernbert", "max_position_embeddings": 7999}
IDENTITY_FN = "torch.nn.modules.linear.Identity"
SCORES = dense(8, 1, IDENTITY, module_output_name="scores")
ETTIN = (pooling("cls", 8), dense(8, 8, GELU, bias=False), layer_norm(8), SCORES)


def classifier(folder: Path, own: Any = None, transformer: Any = None, **config: Any) -> Path:
    write_json(folder / "config.json", CLASSIFIER | ONE | config)
    if own is not None or transformer is not None:
        add_modules(folder, [])
    for name, content in {"config_sentence_transformers": own, "sentence_bert_config": transformer}.items():
        if content is not None:
            write_json(folder / f"{name}.json", content)
    return folder


def modular(folder: Path, *modules: Module, own: Mapping[str, Any] | None = None) -> Path:
    write_json(folder / "config.json", ENCODER)
    add_modules(folder, modules)
    if own is not None:
        write_json(folder / "config_sentence_transformers.json", own)
    return folder


def described(folder: Path, **settings: Any) -> ModelInfo:
    return describe(ModelSettings(name=str(folder), **settings))


def refusal(folder: Path, **settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        described(folder, **settings)
    message = str(caught.value)
    assert "\n" not in message and str(folder) in message
    return message


@pytest.mark.parametrize(
    ("own", "config", "activation"),
    [
        (None, {}, "sigmoid"),
        (None, {"sentence_transformers": {"activation_fn": IDENTITY_FN}}, "none"),
        (None, {"sbert_ce_default_activation_function": IDENTITY_FN}, "none"),
        (None, {"sbert_ce_default_activation_function": "torch.nn.modules.activation.Sigmoid"}, "sigmoid"),
        ({"activation_fn": IDENTITY_FN}, {"sbert_ce_default_activation_function": "torch.nn.Sigmoid"}, "none"),
    ],
)
def test_the_activation_is_where_sentence_transformers_looks_for_it(
    tmp_path: Path, own: Any, config: Any, activation: str
) -> None:
    recipe = described(classifier(tmp_path, own, **config)).recipe
    assert isinstance(recipe, CrossEncoderRecipe)
    assert recipe.score == Score.model_validate({"activation": activation})


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"id2label": {"0": "a", "1": "b", "2": "c"}}, "config.json says labels 3"),
        ({"id2label": None}, "config.json says labels 2"),
        (
            {"sentence_transformers": {"activation_fn": "mine.Softmax"}},
            "activation_fn 'mine.Softmax'",
        ),
        ({"own": {"default_prompt_name": "web"}}, "config_sentence_transformers.json says default_prompt_name 'web'"),
        ({"transformer": {"transformer_task": "text-generation"}}, "transformer_task 'text-generation'"),
        ({"architectures": ["MistralForSequenceClassification"]}, "a classifier on a decoder"),
        ({"architectures": ["Qwen3ForSequenceClassification"]}, "Set model.recipe to plain-pair"),
    ],
)
def test_what_is_not_known_of_a_classifier_is_refused(tmp_path: Path, files: Any, told: str) -> None:
    assert told in refusal(classifier(tmp_path, **files))


def test_a_decoder_with_a_plain_pair_is_the_users_word(tmp_path: Path) -> None:
    folder = classifier(tmp_path, architectures=["MistralForSequenceClassification"], model_type="mistral")
    recipe = described(folder, recipe="plain-pair").recipe
    assert isinstance(recipe, CrossEncoderRecipe) and recipe.plain


def test_a_prompt_stands_before_queries_and_texts_are_lower_cased(tmp_path: Path) -> None:
    own = {"prompts": {"web": "find: "}, "default_prompt_name": "web"}
    model = described(classifier(tmp_path, own, {"do_lower_case": True, "max_seq_length": 100}))
    assert isinstance(model.recipe, CrossEncoderRecipe)
    assert (model.recipe.query, model.recipe.lower_case, model.max_length) == ("find: {query}", True, 100)


@pytest.mark.parametrize("own", [{"model_type": "CrossEncoder"}, None], ids=["as today's", "as older releases"])
def test_modules_that_end_in_a_score_are_a_cross_encoder(tmp_path: Path, own: Any) -> None:
    recipe = described(modular(tmp_path, *ETTIN, own=own)).recipe
    assert isinstance(recipe, ModularRecipe) and recipe.steps is not None
    assert [step.kind for step in recipe.steps] == ["dense", "layer_norm", "dense"]
    assert recipe.computed == "cls"


@pytest.mark.parametrize(
    ("modules", "told"),
    [
        (ETTIN[:-1], "modules.json says scores 'none'"),
        ((*ETTIN[:-1], dense(8, 3, IDENTITY, module_output_name="scores")), "modules.json says scores 3"),
        ((ETTIN[0], SCORES, layer_norm(8)), "module_output_name 'scores'"),
        ((ETTIN[0], dense(8, 8, "mine.Act"), SCORES), "activation_function 'mine.Act'"),
        ((ETTIN[0], Module("sentence_transformers.models.LSTM", {}), SCORES), "type 'LSTM'"),
    ],
)
def test_a_chain_that_gives_no_one_number_is_refused(tmp_path: Path, modules: Any, told: str) -> None:
    assert told in refusal(modular(tmp_path, *modules, own={"model_type": "CrossEncoder"}))


def test_modules_over_a_model_with_token_types_are_for_transformers_alone(tmp_path: Path) -> None:
    """vLLM reads the types of a classifier, and not where it pools."""
    folder = modular(tmp_path, *ETTIN, own={"model_type": "CrossEncoder"})
    write_json(folder / "config.json", CLASSIFIER | {"architectures": ["BertModel"], "type_vocab_size": 2})
    told = refusal(folder)
    assert "type_vocab_size 2" in told and told.endswith("Set engine.backend: transformers.")
    assert isinstance(describe(ModelSettings(name=str(folder)), "transformers").recipe, ModularRecipe)


def test_neither_takes_an_instruction(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    for folder in (classifier(tmp_path / "one"), modular(tmp_path, *ETTIN, own={"model_type": "CrossEncoder"})):
        with pytest.raises(ConfigError, match=r"model.instruction: .* takes no instruction"):
            described(folder, instruction="Judge the tone.")
