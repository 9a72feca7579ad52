"""`rerank-eval models` says which recipes there are, and of a model what a job would then do, or why it would not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.base.config import load_config
from pipelines.cli.app import main
from pipelines.job.dry_run import make_plan
from pipelines.job.models import list_recipes
from serve_app.engine.models import describe
from serve_app.recipes.bundled import bundled_recipes
from serve_app.recipes.decoder import DecoderRecipe, Tokens
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.late_interaction import LateInteractionRecipe
from serve_app.recipes.told import told_procedure, told_recipe
from serve_app.settings import EMBEDDED_MODEL, ModelSettings
from stages.core.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A cross-encoder's files, without weights: what says how it is scored."""
    config = {
        "architectures": ["BertForSequenceClassification"],
        "model_type": "bert",
        "id2label": {"0": "LABEL_0"},
        "max_position_embeddings": 512,
    }
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "tokenizer.json").touch()  # only a folder without one has its tokenizer tried
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["models", *arguments])
    assert ended.value.code == 0
    return capsys.readouterr().out


# --- the list ---


def test_each_recipe_that_comes_along_is_listed_with_what_it_needs_and_how_it_was_verified(
    capsys: pytest.CaptureFixture[str],
) -> None:
    listed = json.loads(told(capsys, "--json"))
    assert [one["recipe"] for one in listed if one["recipe"]] == list(bundled_recipes())
    assert all(one["needs"] and one["verified"] and one["source"] for one in listed)
    shown = told(capsys)
    assert all(f"{name} (" in shown for name in bundled_recipes())


def test_a_recipe_whose_architecture_vllm_lacks_needs_the_other_backend() -> None:
    needs = {one["recipe"]: one["needs"] for one in list_recipes()}
    assert needs["monot5"] == "T5ForConditionalGeneration; engine.backend: transformers"
    assert [name for name, told in needs.items() if "backend" in told] == ["monot5"]


def test_what_a_models_own_files_tell_is_listed_by_its_kind() -> None:
    kinds = [one["kind"] for one in list_recipes() if one["recipe"] is None]
    assert {"cross-encoder", "embedding"} <= set(kinds)


# --- one model ---


def test_what_is_said_of_a_model_is_what_a_job_then_does(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = json.loads(told(capsys, "check", str(folder), "--json"))
    model = describe(ModelSettings(name=str(folder)))
    assert model.recipe is not None
    assert said["recipe"] == model.recipe.model_dump(mode="json")
    assert (said["family"], said["max_length"], said["remarks"]) == (
        model.family,
        model.max_length,
        list(model.remarks),
    )


def test_it_is_said_in_lines_for_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = told(capsys, "check", str(folder))
    assert "(cross-encoder)" in shown or "scored as   cross-encoder" in shown
    assert "max length  512 tokens" in shown and "computed by vLLM" in shown
    assert "verified    sentence-transformers" in shown, "of its kind, as the recipe is read off its files"
    shown = told(capsys, "check", str(folder), "--set", "engine.backend=transformers")
    assert "computed by Transformers" in shown and "at its own speed" in shown


def test_settings_that_a_job_would_have_are_taken_into_account(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "max length  100 tokens" in told(capsys, "check", str(folder), "--set", "model.max_length=100")
    config = tmp_path / "run.yaml"
    config.write_text(json.dumps({"model": {"name": str(folder), "max_length": 64}}), encoding="utf-8")
    assert "max length  64 tokens" in told(capsys, "check", "--config", str(config))
    shown = told(capsys, "check", EMBEDDED_MODEL, "--config", str(config))
    assert EMBEDDED_MODEL in shown and "max length  64 tokens" in shown, "the other settings are the config's"


def test_a_refusal_is_one_line_and_exit_code_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}', encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        main(["models", "check", str(folder), "--json"])
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert err.startswith("rerank-eval: model.name ") and err.count("\n") == 1
    assert err == f"rerank-eval: {json.loads(out)['refused']}\n"


def test_a_recipe_of_ones_own_is_tried_on_the_models_tokenizer(
    tiny_qwen3: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An engine would find it out too, a minute later."""
    config, recipe = tmp_path / "run.yaml", {"kind": "decoder", "prompt": ["{query}", " {document}"]}
    for token, code in (("yes", 0), ("certainly not", 2)):
        model = {"name": str(tiny_qwen3), "recipe": recipe | {"tokens": {"positive": token}}}
        config.write_text(json.dumps({"model": model, "data": {"format": "jsonl", "path": "a"}}), encoding="utf-8")
        with pytest.raises(SystemExit) as ended:
            main(["models", "check", "--config", str(config)])
        assert ended.value.code == code
    assert "tokens.positive 'certainly not' is" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="has to be one"):
        make_plan(load_config(config))


def test_without_a_model_it_says_what_to_give(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["models", "check"])
    assert "name a model (a folder or a Hugging Face id)" in capsys.readouterr().err


def test_the_stand_in_is_no_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert "no model: the share of common words" in told(capsys, "check", "overlap")


# --- a recipe in words ---

PROMPT = ("<|im_start|>user\n{query}", " {document}")


def test_prompts_are_told_with_their_places_and_line_ends() -> None:
    recipe = DecoderRecipe(name="mine", prompt=PROMPT, tokens=Tokens(positive="yes", negative=7))
    lines = list(told_procedure(recipe))
    assert lines[:2] == [("prompt", "'<|im_start|>user\\n{query}'"), ("", "' {document}'")]
    assert ("tokens", "positive yes, negative 7") in lines
    assert all("\n" not in text for _, text in lines)


def test_what_does_not_apply_is_left_out() -> None:
    assert {key for key, _ in told_procedure(EmbeddingRecipe())} <= {"query", "document", "instructed", "similarity"}


def test_signs_are_told_in_one_line_and_words_in_a_line_each() -> None:
    recipe = LateInteractionRecipe(query_marker="[Q] ", document_marker="[D] ", skipped=("!", "?"), head=("1_a", "2_b"))
    lines = list(told_procedure(recipe))
    assert ("skipped", "! ?") in lines
    assert [text for key, text in lines if key in ("head", "")] == ["1_a", "2_b"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own", "a recipe of your own (embedding)"),
        ("e5", "e5 (embedding)"),
        ("embedding", "embedding"),
    ],
)
def test_a_recipe_is_called_by_its_name_and_kind(name: str, words: str) -> None:
    assert told_recipe(EmbeddingRecipe(name=name)) == words


def test_every_recipe_can_be_told() -> None:
    told_all: dict[str, Any] = {name: dict(told_procedure(recipe)) for name, recipe in bundled_recipes().items()}
    assert all(told_all.values())


def test_a_folder_without_a_tokenizer_is_refused_before_a_job_would_start(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(SystemExit) as ended:
        main(["models", "check", str(folder)])
    assert ended.value.code == 2
    assert "are missing: download them" in capsys.readouterr().err
