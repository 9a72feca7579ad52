"""An embedding model's files say how it is scored, or it is refused before anything starts; no weights are needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from serve_app.engine.models import ModelInfo, describe
from serve_app.recipes.bundled import bundled_recipe, bundled_recipes
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.settings import EMBEDDED_MODEL, ModelSettings
from stages.core.errors import ConfigError
from tests.checkpoints.sentence_transformers import IDENTITY, Module, add_modules, dense, normalize, pooling, write_json

OWN = "config_sentence_transformers.json"
BERT = {"architectures": ["BertModel"], "model_type": "bert", "vocab_size": 30522, "max_position_embeddings": 512}
MEAN = pooling("mean", 8)


def folder_of(
    folder: Path,
    *modules: Module,
    own: Any = None,
    transformer: Any = None,
    config: Mapping[str, Any] = BERT,
    **files: Any,
) -> Path:
    """The small files alone; `files` are others, by their name without the ending."""
    write_json(folder / "config.json", config)
    if modules:
        add_modules(folder, modules)
    for name, content in {OWN: own, "sentence_bert_config.json": transformer}.items():
        if content is not None:
            write_json(folder / name, content)
    for name, content in files.items():
        write_json(folder / f"{name}.json", content)
    return folder


def described(folder: Path, **settings: Any) -> ModelInfo:
    return describe(ModelSettings(name=str(folder), **settings))


def recipe_of(folder: Path, **settings: Any) -> EmbeddingRecipe:
    recipe = described(folder, **settings).recipe
    assert isinstance(recipe, EmbeddingRecipe)
    return recipe


def refusal(folder: Path, **settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        described(folder, **settings)
    message = str(caught.value)
    assert "\n" not in message and str(folder) in message
    return message


@pytest.mark.parametrize(
    ("prompts", "query", "document"),
    [
        ({"query": "q: ", "document": "d: "}, "q: ", "d: "),
        ({"query": "q: ", "passage": "p: "}, "q: ", "p: "),
        ({"query": "q: ", "document": "d: ", "passage": "p: "}, "q: ", "d: "),
        ({"query": "q: "}, "q: ", ""),
        ({"document": "d: ", "other": "o: "}, "", "d: "),
        ({"query": "", "document": ""}, "", ""),
        ({}, "", ""),
        ({"query": "{braces} {query}", "document": "{document} "}, "{braces} {query}", "{document} "),
    ],
)
def test_prompts_are_those_of_the_files(tmp_path: Path, prompts: Any, query: str, document: str) -> None:
    recipe = recipe_of(folder_of(tmp_path, MEAN, own={"prompts": prompts}))
    assert (recipe.query_prompt(None), recipe.document_prompt) == (query, document)


def test_the_users_prompts_take_their_place_each_by_itself(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, MEAN, own={"prompts": {"query": "q: ", "document": "d: "}})
    recipe = recipe_of(folder, query_prompt="mine: ")
    assert (recipe.query_prompt(None), recipe.document_prompt) == ("mine: ", "d: ")
    recipe = recipe_of(folder, document_prompt="")
    assert (recipe.query_prompt(None), recipe.document_prompt) == ("q: ", "")


def test_prompts_that_are_for_neither_queries_nor_documents_want_the_users_word(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, MEAN, own={"prompts": {"s2p": "to passages: "}})
    assert "prompts s2p" in refusal(folder) and "model.query_prompt" in refusal(folder)
    assert recipe_of(folder, query_prompt="to passages: ").query_prompt(None) == "to passages: "


def test_a_default_prompt_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "default_prompt_name 'web'" in refusal(folder_of(tmp_path, MEAN, own={"default_prompt_name": "web"}))


@pytest.mark.parametrize("blank", ["", " "])
def test_an_instruction_takes_the_form_of_the_files_prompt(tmp_path: Path, blank: str) -> None:
    own = {"prompts": {"query": f"Instruct: find passages\nQuery:{blank}"}}
    recipe = recipe_of(folder_of(tmp_path, MEAN, own=own), instruction="find code")
    assert recipe.query_prompt("find code") == f"Instruct: find code\nQuery:{blank}"
    assert recipe.query_prompt(None) == own["prompts"]["query"]


def test_a_prompt_without_a_place_for_an_instruction_takes_none(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, MEAN, own={"prompts": {"query": "query: "}})
    assert "model.instruction" in refusal(folder, instruction="find code")


@pytest.mark.parametrize(
    ("modules", "others", "told"),
    [
        ([pooling("attention", 8)], {}, "1_Pooling/config.json says pooling mode 'pooling_mode_attention'"),
        (
            [Module("sentence_transformers.models.WeightedLayerPooling", {}), MEAN],
            {},
            "modules 'Transformer, WeightedLay",
        ),
        ([MEAN, Module("sentence_transformers.models.CNN", {})], {}, "type 'CNN'"),
        ([MEAN, Module("custom.Rotate", {})], {}, "type 'custom.Rotate'"),
        ([MEAN, dense(8, 8, "custom.Swish")], {}, "activation_function 'custom.Swish'"),
        (
            [MEAN, dense(8, 8, IDENTITY, module_input_name="token_embeddings")],
            {},
            "module_input_name 'token_embeddings'",
        ),
        ([MEAN], {"own": {"similarity_fn_name": "euclidean"}}, "similarity_fn_name 'euclidean'"),
        ([MEAN], {"transformer": {"transformer_task": "fill-mask"}}, "transformer_task 'fill-mask'"),
        ([MEAN], {"transformer": {"model_args": {"default_task": "retrieval"}}}, "model_args.default_task 'retrieval'"),
        ([MEAN], {"transformer": {"tokenizer_args": {"add_eos_token": True}}}, "tokenizer_args.add_eos_token True"),
        ([MEAN], {"transformer": {"processing_kwargs": {"text": {"padding": 1}}}}, "processing_kwargs.text"),
        (
            [MEAN],
            {
                "transformer": {"modality_config": {"text": {}, "message": {}}},
                "tokenizer_config": {"chat_template": "{{ messages }}"},
            },
            "modality_config 'message'",
        ),
        ([], {"tokenizer_config": {"chat_template": "{{ messages }}"}}, "modules.json"),
    ],
)
def test_what_is_not_known_is_refused_with_file_and_value(
    tmp_path: Path, modules: list[Module], others: Any, told: str
) -> None:
    message = refusal(folder_of(tmp_path, *modules, **others))
    assert told in message and ("Needed: " in message)


def test_without_modules_it_is_the_mean_and_with_them_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    recipe = recipe_of(folder_of(tmp_path / "plain"))
    assert recipe.pooling is not None and recipe.pooling.modes == ("mean",) and recipe.steps == ()
    several = Module(
        "sentence_transformers.sentence_transformer.modules.pooling.Pooling", {"pooling_mode": ["cls", "max"]}
    )
    recipe = recipe_of(folder_of(tmp_path, several, normalize()))
    assert recipe.pooling is not None and recipe.pooling.modes == ("cls", "max") and recipe.computed is None


@pytest.mark.parametrize(
    ("transformer", "tokenizer", "limit"),
    [
        ({"max_seq_length": 128}, {"model_max_length": 64}, 128),
        ({}, {"model_max_length": 64}, 64),
        ({"max_seq_length": None}, {"model_max_length": int(1e30)}, 512),
        ({"max_seq_length": 8192}, {}, 512),
    ],
)
def test_the_limit_is_that_of_sentence_transformers(
    tmp_path: Path, transformer: Any, tokenizer: Any, limit: int
) -> None:
    folder = folder_of(tmp_path, MEAN, transformer=transformer or None, tokenizer_config=tokenizer)
    assert described(folder).max_length == limit


def test_dimensions_are_at_most_those_of_its_vectors(tmp_path: Path) -> None:
    config = BERT | {"hidden_size": 8}
    folder = folder_of(tmp_path, pooling(("cls", "mean"), 8), config=config)
    assert recipe_of(folder, dimensions=16).dimensions == 16
    assert "model.dimensions 17 is more than its vectors have: 16" in refusal(folder, dimensions=17)
    (tmp_path / "dense").mkdir()
    folder = folder_of(tmp_path / "dense", MEAN, dense(8, 4, IDENTITY), own={"truncate_dim": 5}, config=config)
    assert "5 is more than its vectors have: 4" in refusal(folder)


@pytest.mark.parametrize("name", ["query_prompt", "document_prompt", "dimensions"])
def test_what_is_for_embedding_models_alone_is_refused_with_others(tmp_path: Path, name: str) -> None:
    classifier = {"architectures": ["BertForSequenceClassification"], "model_type": "bert", "id2label": {"0": "one"}}
    told = refusal(folder_of(tmp_path, config=classifier), **{name: 8 if name == "dimensions" else "query: "})
    assert told.startswith(f"model.{name}: ") and "is scored as cross-encoder" in told


def test_a_model_without_prompts_is_told_what_might_apply(tmp_path: Path) -> None:
    (remark,) = described(folder_of(tmp_path, MEAN)).remarks
    assert "none of its files names a prompt" in remark and remark.endswith("model.recipe: by its make it may be e5")
    assert described(tmp_path, query_prompt="q: ").remarks == ()
    assert described(tmp_path, recipe="without-prompts").remarks == ()


def test_the_embedded_model_is_published_without_prompts() -> None:
    model = describe(ModelSettings(name=EMBEDDED_MODEL))
    assert model.recipe is not None and model.recipe.name == "without-prompts"
    assert model.remarks == () and model.family == "embedding" and model.max_length == 256


@pytest.mark.parametrize(
    ("name", "query", "document"),
    [
        ("e5", "query: ", "passage: "),
        ("bge-en", "Represent this sentence for searching relevant passages: ", ""),
        ("bge-zh", "为这个句子生成表示以用于检索相关文章：", ""),
        ("nomic-embed-v1.5", "search_query: ", "search_document: "),
        ("arctic-embed-v2", "query: ", ""),
        ("embeddinggemma", "task: search result | query: ", "title: none | text: "),
        (
            "qwen3-embedding",
            "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:",
            "",
        ),
        (
            "qwen3-embedding-blank",
            "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: ",
            "",
        ),
    ],
)
def test_a_published_recipe_says_its_prompts_whatever_the_files_say(
    tmp_path: Path, name: str, query: str, document: str
) -> None:
    folder = folder_of(tmp_path, pooling("cls", 8), normalize(), own={"prompts": {"query": "other: "}})
    recipe = recipe_of(folder, recipe=name)
    assert (recipe.query_prompt(None), recipe.document_prompt) == (query, document)
    assert recipe.pooling is not None and recipe.pooling.modes == ("cls",), "the files' own"


def test_no_hub_id_has_two_recipes() -> None:
    patterns = [pattern for recipe in bundled_recipes().values() for pattern in recipe.hub]
    assert len(patterns) == len(set(patterns))
    assert bundled_recipe("dot-product").hub != bundled_recipe("without-prompts").hub
