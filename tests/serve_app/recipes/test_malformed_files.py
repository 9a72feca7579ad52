"""A file that is not what such a file is, of a broken download or a hand that slipped: one line, and never a guess."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serve_app.engine.models import describe
from serve_app.settings import Backend, ModelSettings
from stages.core.errors import ConfigError
from tests.checkpoints.layouts import (
    BERT,
    NEW_QWEN3,
    PYLATE,
    Files,
    classifier,
    config,
    dense,
    lay_out,
    modules,
    pooled,
    saved,
)

MEAN = BERT | pooled("mean_tokens")
ONE = classifier("BertForSequenceClassification", "bert")
COLBERT = config("HF_ColBERT", "bert")
WITHOUT_TEMPLATE = {name: content for name, content in NEW_QWEN3.items() if name != "chat_template.jinja"}

MALFORMED: dict[str, tuple[Files, str]] = {
    "a list for a config": ({"config.json": []}, "config.json holds '[]'"),
    "nothing for a config": ({"config.json": "null"}, "config.json holds 'null'"),
    "no list of modules": (BERT | {"modules.json": {"0": {}}}, "modules.json holds"),
    "names for modules": (BERT | {"modules.json": ["Transformer"]}, "modules.json holds"),
    "a list for the Transformer's settings": (MEAN | {"sentence_bert_config.json": ["a"]}, "sentence_bert_config.json"),
    "a list for an adapter": (ONE | {"adapter_config.json": []}, "adapter_config.json"),
    "places in words": (
        ONE | {"config.json": dict(ONE["config.json"]) | {"max_position_embeddings": "many"}},
        "'many'",
    ),
    "a limit in words": (MEAN | {"sentence_bert_config.json": {"max_seq_length": "512"}}, "sentence_bert_config.json"),
    "a tokenizer's limit in words": (MEAN | {"tokenizer_config.json": {"model_max_length": "512"}}, "tokenizer_config"),
    "a limit below zero": (MEAN | {"tokenizer_config.json": {"model_max_length": -1}}, "leave -1 tokens"),
    "no room for a word": (MEAN | {"sentence_bert_config.json": {"max_seq_length": 2}}, "leave 2 tokens"),
    "no templates in a list": (
        WITHOUT_TEMPLATE | {"tokenizer_config.json": {"chat_template": ["a"]}},
        "tokenizer_conf",
    ),
    "a Dense of no size": (BERT | pooled("mean_tokens", then=(("Dense", {"bias": True}),)), "in_features None"),
    "a LayerNorm of no size": (BERT | pooled("mean_tokens", then=(("LayerNorm", {}),)), "dimension None"),
    "a list of prompts": (MEAN | saved(prompts=["query: "]), "config_sentence_transformers.json"),
    "a number for a prompt": (MEAN | saved(prompts={"query": 5}), "config_sentence_transformers.json"),
    "dimensions in words": (MEAN | saved(truncate_dim="64"), "truncate_dim '64'"),
    "dimensions below zero": (MEAN | saved(truncate_dim=-1), "truncate_dim -1"),
    "a query of two tokens": (COLBERT | {"artifact.metadata": {"query_maxlen": 2}}, "query_length 2"),
    "a marker that is no text": (COLBERT | {"artifact.metadata": {"query_token_id": 1}}, "artifact.metadata"),
    "words in one text": (PYLATE | saved(query_prefix="[Q] ", skiplist_words="abc"), "skipped 'abc'"),
    "an activation that is no name": (ONE | saved(activation_fn={"a": 1}), "config_sentence_transformers.json"),
    "labels in words": (config("BertForSequenceClassification", "bert", num_labels="one"), "config.json"),
    "a prompt that is maybe included": (
        BERT | modules(("Pooling", {"pooling_mode": "mean", "include_prompt": "maybe"})),
        "include_prompt 'maybe'",
    ),
}


def refusal(folder: Path, files: Files, backend: Backend = "vllm", **settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        describe(ModelSettings(name=str(lay_out(folder, files)), **settings), backend)
    return str(caught.value)


@pytest.mark.parametrize(("files", "told"), MALFORMED.values(), ids=MALFORMED)
def test_it_is_told_in_one_line_that_names_the_file_or_the_value(tmp_path: Path, files: Files, told: str) -> None:
    message = refusal(tmp_path, files)
    assert message.startswith(f"model.name {tmp_path}") and told in message and "\n" not in message


# sentence-transformers would take a mean, or a layer of its own default, for what a download left out.
@pytest.mark.parametrize("missing", ["1_Pooling", "2_Dense", "3_LayerNorm"])
def test_a_module_whose_config_is_missing_is_not_guessed(tmp_path: Path, missing: str) -> None:
    whole = BERT | pooled("cls_token", then=(dense(64, 64), ("LayerNorm", {"dimension": 64})))
    files = {name: content for name, content in whole.items() if not name.startswith(missing)}
    assert f"cannot read {missing}/config.json" in refusal(tmp_path, files)


def test_an_architecture_that_stands_alone_instead_of_in_a_list_is_read(tmp_path: Path) -> None:
    files = {"config.json": dict(BERT["config.json"]) | {"architectures": "BertModel"}}
    assert describe(ModelSettings(name=str(lay_out(tmp_path, files)))).max_length == 512


def test_places_that_config_json_leaves_out_are_those_of_transformers(tmp_path: Path) -> None:
    told = {key: value for key, value in ONE["config.json"].items() if key != "max_position_embeddings"}
    for number, config_json in enumerate([told, told | {"max_position_embeddings": None}]):
        folder = lay_out(tmp_path / str(number), {"config.json": config_json})
        assert describe(ModelSettings(name=str(folder))).max_length == 512


def test_more_dimensions_than_a_vector_has_are_refused_by_any_name_of_its_width(tmp_path: Path) -> None:
    for number, (architecture, kind, width) in enumerate(
        [
            ("DistilBertModel", "distilbert", "dim"),
            ("T5EncoderModel", "t5", "d_model"),
            ("BertModel", "bert", "hidden_size"),
        ]
    ):
        files = config(architecture, kind, **{width: 64}) | pooled("mean_tokens")
        assert "more than its vectors have: 64" in refusal(tmp_path / str(number), files, "transformers", dimensions=65)
