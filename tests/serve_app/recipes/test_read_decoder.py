"""A causal model is told from others by its files: newer snapshots by their LogitScore, older ones by their name alone;
and one that nothing tells of is refused, whatever it may be.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from serve_app.engine.models import describe
from serve_app.recipes.bundled import bundled_recipe
from serve_app.recipes.decoder import DecoderRecipe
from serve_app.recipes.files import ModelFiles
from serve_app.recipes.kinds import Recipe, recipe_digest
from serve_app.recipes.recognise import recognise
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError
from tests.checkpoints.decoder import add_logit_score
from tests.checkpoints.layouts import NEW_QWEN3, lay_out
from tests.checkpoints.templates import OWN, QWEN3_RERANKER, ZERANK

QUERY, DOCUMENT = (
    f"{{{{ (messages | selectattr('role', 'eq', '{role}') | first).content }}}}" for role in ("query", "document")
)
INLINE = {"kind": "decoder", "prompt": "{query} {document}", "tokens": {"positive": "yes"}}


def make(folder: Path, architecture: str = "Qwen3ForCausalLM", **config: Any) -> Path:
    """A folder with a config and nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {"architectures": [architecture], "max_position_embeddings": 4096} | config
    (folder / "config.json").write_text(json.dumps(told), encoding="utf-8")
    return folder


def recognised(folder: Path, **settings: Any) -> Recipe:
    return recognise(ModelSettings(name=str(folder), **settings), ModelFiles(str(folder), str(folder), None))


def decoder_of(folder: Path, **settings: Any) -> DecoderRecipe:
    recipe = recognised(folder, **settings)
    assert isinstance(recipe, DecoderRecipe)
    return recipe


def refusal(folder: Path, **settings: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        recognised(folder, **settings)
    message = str(caught.value)
    assert "\n" not in message and str(folder) in message
    return message


# ---- newer snapshots


def test_a_published_chat_template_gives_the_published_recipe_with_the_models_own_tokens(tmp_path: Path) -> None:
    zerank = decoder_of(add_logit_score(make(tmp_path / "a"), ZERANK, 9454, None))
    published = bundled_recipe("zerank")
    assert zerank.model_copy(update={"tokens": published.tokens}) == published  # type: ignore[union-attr]
    assert (zerank.tokens.positive, zerank.tokens.negative) == (9454, None)
    qwen3 = decoder_of(add_logit_score(make(tmp_path / "b"), QWEN3_RERANKER, 9693, 2152))
    assert (qwen3.name, qwen3.score.activation) == ("qwen3-reranker", "sigmoid")
    assert (qwen3.tokens.positive, qwen3.tokens.negative) == (9693, 2152)


def test_a_line_break_less_at_the_end_is_another_prompt(tmp_path: Path) -> None:
    """vLLM's own template of Qwen3-Reranker: the library that reads it scores so, and the card does not."""
    short = decoder_of(add_logit_score(make(tmp_path), QWEN3_RERANKER.removesuffix("\n"), 9693, 2152))
    assert short.name == "decoder"
    assert short.prompt[0].endswith("</think>\n") and not short.prompt[0].endswith("</think>\n\n")


def test_any_other_template_is_read_as_it_is_written(tmp_path: Path) -> None:
    folder = add_logit_score(make(tmp_path, "MistralForCausalLM"), OWN, 7, 3)
    told = {"bos_token": {"content": "<s>", "special": True}, "padding_side": "left"}
    (folder / "tokenizer_config.json").write_text(json.dumps(told), encoding="utf-8")
    recipe = decoder_of(folder)
    assert recipe.prompt == ("<s>Task: {instruction}. Passage: {document}\nQuestion: {query}\nRelevant:",)
    assert (recipe.instructed, recipe.instruction, recipe.special_tokens) == (None, "none", False)
    assert (recipe.name, recipe.score.activation) == ("decoder", "none")


def test_a_template_may_write_another_prompt_where_there_is_an_instruction(tmp_path: Path) -> None:
    template = "{% if messages[0].role == 'system' %}[{{ messages[0].content }}] {% endif %}QUERY | DOCUMENT ?"
    template = template.replace("QUERY", QUERY).replace("DOCUMENT", DOCUMENT)
    recipe = decoder_of(add_logit_score(make(tmp_path), template, 1, None))
    assert recipe.prompt == ("{query} | {document} ?",)
    assert recipe.instructed == ("[{instruction}] {query} | {document} ?",)
    prompts = {"default_prompt_name": "web", "prompts": {"web": "find pages"}}
    recipe = decoder_of(add_logit_score(make(tmp_path), template, 1, None, **prompts))
    assert recipe.instruction == "find pages"


def test_the_activation_is_that_of_the_settings_and_a_sigmoid_without_them(tmp_path: Path) -> None:
    sigmoid = "torch.nn.modules.activation.Sigmoid"
    folder = add_logit_score(make(tmp_path), OWN, 1, None, activation=sigmoid)
    assert decoder_of(folder).score.activation == "sigmoid"
    (folder / "config_sentence_transformers.json").unlink()
    assert decoder_of(folder).score.activation == "sigmoid"
    add_logit_score(folder, OWN, 1, None, activation="torch.nn.modules.activation.Tanh")
    assert "config_sentence_transformers.json: activation_fn torch.nn.modules.activation.Tanh" in refusal(folder)


def test_a_template_that_strips_texts_gives_a_recipe_that_does(tmp_path: Path) -> None:
    stripping = OWN.replace('map(attribute="content") | first }}', 'map(attribute="content") | first | trim }}')
    assert decoder_of(add_logit_score(make(tmp_path), stripping, 1, None)).strip
    one_alone = OWN.replace(
        '"query") | map(attribute="content") | first', '"query") | map(attribute="content") | first | trim'
    )
    assert "strips the blanks" in refusal(add_logit_score(make(tmp_path), one_alone, 1, None))


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("QUERY", "writes the document 0 times"),
        ("QUERY DOCUMENT DOCUMENT", "writes the document 2 times"),
        ("{{ QUERY | upper }} DOCUMENT", "writes the query 0 times"),
        ("{{ QUERY | replace('  ', ' ') | replace('\n\n', '\n') }} DOCUMENT", "changes the text of a query"),
        ("QUERY {{ DOCUMENT | e }}", "changes the text of a document"),
        ("QUERY {{ DOCUMENT[:2000] }}", "changes the text of a document"),
        ("QUERY {{ DOCUMENT | tojson }}", "changes the text of a document"),
        ("{{ raise_exception('only users here') }}", "cannot be rendered for a query and a document (only users here)"),
        ("{% for one in messages %}", "cannot be rendered"),
    ],
)
def test_a_template_that_is_no_frame_around_the_texts_is_refused(tmp_path: Path, template: str, told: str) -> None:
    for name, place in (("QUERY", QUERY), ("DOCUMENT", DOCUMENT)):
        template = template.replace(f"{{{{ {name}", place.removesuffix(" }}")).replace(name, place)
    message = refusal(add_logit_score(make(tmp_path), template, 1, None))
    assert "chat_template.jinja" in message and told in message and "model.recipe" in message


def change(folder: Path, file: str, **keys: Any) -> None:
    told = json.loads((folder / file).read_text(encoding="utf-8"))
    (folder / file).write_text(json.dumps(told | keys), encoding="utf-8")


@pytest.mark.parametrize(
    ("file", "keys", "told"),
    [
        ("sentence_bert_config.json", {"do_lower_case": True}, "do_lower_case True"),
        ("sentence_bert_config.json", {"transformer_task": "any-to-any"}, "transformer_task any-to-any"),
        ("sentence_bert_config.json", {"modality_config": {"text": {}}}, "no message of the format flat"),
        ("sentence_bert_config.json", {"query_expansion": {"length": 32}}, "query_expansion"),
        ("1_LogitScore/config.json", {"module_input_name": "scores"}, "module_input_name scores"),
        ("1_LogitScore/config.json", {"true_token_id": None}, "tokens.positive: None is no token"),
        ("config_sentence_transformers.json", {"default_prompt_name": "q", "prompts": {"q": "go"}}, "leaves out"),
        ("config.json", {"final_logit_softcapping": 30.0}, "config.json: final_logit_softcapping 30.0"),
        ("config.json", {"logits_scaling": 8.0}, "config.json: logits_scaling 8.0"),
        ("config.json", {"architectures": ["PhiForCausalLM"]}, "PhiForCausalLM is not one that"),
    ],
)
def test_what_is_half_known_is_refused(tmp_path: Path, file: str, keys: dict[str, Any], told: str) -> None:
    folder = add_logit_score(make(tmp_path), ZERANK, 1, None)
    change(folder, file, **keys)
    message = refusal(folder)
    assert file in message and told in message


def test_the_publishers_limit_is_that_of_the_files_where_they_name_one(tmp_path: Path) -> None:
    folder = add_logit_score(make(tmp_path), ZERANK, 1, None)
    assert decoder_of(folder).max_length == 32_768
    change(folder, "sentence_bert_config.json", max_seq_length=2048)
    assert decoder_of(folder).max_length == 2048
    change(folder, "sentence_bert_config.json", processing_kwargs={"text": {"max_length": 1024}})
    assert decoder_of(folder).max_length == 1024


def test_a_logit_score_without_a_template_is_refused(tmp_path: Path) -> None:
    folder = add_logit_score(make(tmp_path), ZERANK, 1, None)
    (folder / "chat_template.jinja").unlink()
    assert "1_LogitScore without a chat template: chat_template.jinja is missing" in refusal(folder)
    change(folder, "tokenizer_config.json", chat_template=ZERANK)
    assert decoder_of(folder).name == "zerank"
    named = [{"name": "default", "template": OWN}, {"name": "reranker", "template": ZERANK}]
    change(folder, "tokenizer_config.json", chat_template=named)
    assert decoder_of(folder).name == "decoder"
    asked = {"chat_template": {"chat_template": "reranker", "add_generation_prompt": True}}
    change(folder, "sentence_bert_config.json", processing_kwargs=asked)
    assert decoder_of(folder).name == "zerank"


def test_other_modules_behind_a_causal_model_are_refused(tmp_path: Path) -> None:
    folder = add_logit_score(make(tmp_path), ZERANK, 1, None)
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    modules[1]["type"] = "transformers_modules.scores.CausalScoreHead"
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    assert "modules.json: the modules Transformer, CausalScoreHead" in refusal(folder)


# ---- older snapshots


@pytest.mark.parametrize(
    ("name", "recipe", "architecture"),
    [
        ("Qwen3-Reranker-0.6B", "qwen3-reranker", "Qwen3ForCausalLM"),
        ("Qwen3-Reranker-0___6B", "qwen3-reranker", "Qwen3ForCausalLM"),
        ("zerank-1-small", "zerank", "Qwen3ForCausalLM"),
        ("zerank-2-reranker", "zerank", "Qwen3ForCausalLM"),
        ("ctxl-rerank-v2-instruct-multilingual-1b", "ctxl-rerank-v2", "Qwen3ForCausalLM"),
        ("ctxl-rerank-v2-instruct-multilingual-6b", "ctxl-rerank-v2", "MistralForCausalLM"),
        ("mxbai-rerank-base-v2", "mxbai-rerank-v2", "Qwen2ForCausalLM"),
        ("bge-reranker-v2-gemma", "bge-reranker-v2-gemma", "GemmaForCausalLM"),
        ("models--Qwen--Qwen3-Reranker-8B/snapshots/22e683669b", "qwen3-reranker", "Qwen3ForCausalLM"),
    ],
)
def test_a_folder_of_the_published_name_is_that_model(
    tmp_path: Path, name: str, recipe: str, architecture: str
) -> None:
    assert decoder_of(make(tmp_path / name, architecture)) == bundled_recipe(recipe)


@pytest.mark.parametrize(
    ("readme", "recipe"),
    [
        (
            "---\nlicense: apache-2.0\nbase_model:\n- Qwen/Qwen3-0.6B-Base\n---\n# Qwen3-Reranker-0.6B\n",
            "qwen3-reranker",
        ),
        ("---\nbase_model:\n- Qwen/Qwen3-4B\n---\n\n# Releasing zeroentropy/zerank-2\n", "zerank"),
        ("---\nbase_model: Qwen/Qwen3-Reranker-4B\ntags: [law]\n---\n# Our laws\n", "qwen3-reranker"),
    ],
)
def test_a_readme_says_what_a_folder_of_another_name_holds(tmp_path: Path, readme: str, recipe: str) -> None:
    (make(tmp_path) / "README.md").write_text(readme, encoding="utf-8")
    assert decoder_of(tmp_path).name == recipe


def test_a_qwen3_that_nothing_tells_of_is_refused_and_may_be_named(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "README.md").write_text("# Ours\nBetter than Qwen3-Reranker-8B and zerank-2.\n", encoding="utf-8")
    message = refusal(tmp_path)
    assert (
        "nothing else tells how it is scored. Set model.recipe: qwen3-reranker or ctxl-rerank-v2 or zerank" in message
    )
    assert decoder_of(tmp_path, recipe="qwen3-reranker") == bundled_recipe("qwen3-reranker")
    assert decoder_of(tmp_path, family="qwen3-reranker") == bundled_recipe("qwen3-reranker")
    assert decoder_of(tmp_path, recipe=INLINE).name == "own"


def test_a_name_that_says_two_things_is_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "zerank-2")
    (folder / "README.md").write_text("# Qwen3-Reranker-4B as zerank-2\n", encoding="utf-8")
    assert "say" in refusal(folder) and "model.recipe" in refusal(folder)


@pytest.mark.parametrize("architecture", ["LlamaForCausalLM", "PhiForCausalLM"])
def test_advice_names_no_recipe_that_cannot_read_the_model(tmp_path: Path, architecture: str) -> None:
    message = refusal(make(tmp_path, architecture))
    assert "qwen3-reranker" not in message and "zerank" not in message


def test_a_recipe_is_refused_for_a_model_that_it_was_not_made_for(tmp_path: Path) -> None:
    make(tmp_path, "GemmaForCausalLM")
    told = refusal(tmp_path, recipe="zerank")
    assert "GemmaForCausalLM is not one that the recipe zerank can be read with: Qwen3ForCausalLM" in told
    assert decoder_of(tmp_path, recipe=INLINE).name == "own"
    make(tmp_path, "BertForSequenceClassification")
    assert "BertForSequenceClassification is not one" in refusal(tmp_path, recipe=INLINE)


def test_the_blank_line_form_is_of_qwen3_reranker_alone(tmp_path: Path) -> None:
    folder = make(tmp_path / "Qwen3-Reranker-4B")
    assert "\n\n<Query>" in "".join(decoder_of(folder, template="blank_line").prompt)
    assert decoder_of(folder, template="blank_line").name == "qwen3-reranker"
    told = refusal(make(tmp_path / "zerank-1"), template="blank_line")
    assert "by the recipe zerank" in told and "Leave model.template out" in told


def test_the_blank_line_form_keeps_the_tokens_that_a_model_was_trained_on(tmp_path: Path) -> None:
    lay_out(tmp_path, NEW_QWEN3 | {"1_LogitScore/config.json": {"true_token_id": 7, "false_token_id": 8}})
    recipe = decoder_of(tmp_path, template="blank_line")
    assert "\n\n<Query>" in "".join(recipe.prompt)
    assert (recipe.tokens.positive, recipe.tokens.negative) == (7, 8)
    assert recipe_digest(recipe) != recipe_digest(decoder_of(tmp_path))


@pytest.mark.parametrize("title", ["# acme-rank: better than Qwen3-Reranker-4B", "# How zerank-2 was beaten"])
def test_a_long_title_that_names_another_model_is_not_believed(tmp_path: Path, title: str) -> None:
    folder = make(tmp_path / "acme")
    (folder / "README.md").write_text(f"{title}\n", encoding="utf-8")
    assert "a word in the long title of its README.md alone names" in refusal(folder)


def test_what_a_name_alone_told_is_a_remark(tmp_path: Path) -> None:
    named = [("zerank-1", "", "its folder's name"), ("a", "# Releasing zeroentropy/zerank-2\n", "the title")]
    named.append(("b", "---\nbase_model: Qwen/Qwen3-Reranker-0.6B\n---\n# acme\n", "the base_model of its README.md"))
    for name, readme, where in named:
        folder = make(tmp_path / name)
        (folder / "README.md").write_text(readme, encoding="utf-8")
        (remark,) = describe(ModelSettings(name=str(folder))).remarks
        assert where in remark and "set model.recipe" in remark
        assert describe(ModelSettings(name=str(folder), recipe="zerank")).remarks == ()
    assert describe(ModelSettings(name=str(lay_out(tmp_path / "zerank-3", NEW_QWEN3)))).remarks == ()
