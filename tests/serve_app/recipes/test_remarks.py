"""Whoever reads a model's scores is told what its files do not say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from serve_app.engine.models import describe
from serve_app.recipes import remarks
from serve_app.recipes.bundled import bundled_recipe
from serve_app.recipes.cross_encoder import CrossEncoderRecipe
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.files import ModelFiles
from serve_app.recipes.remarks import remarks_of
from serve_app.settings import EMBEDDED_MODEL, Backend, ModelSettings
from tests.checkpoints.layouts import BERT, QWEN3_LM, classifier, lay_out

E5 = EmbeddingRecipe(name="e5", hub=("intfloat/*e5-*",), query="query: {query}", document="passage: {document}")
BGE = EmbeddingRecipe(name="bge", hub=("BAAI/bge-*-v1.5",), query="Represent: {query}")


@pytest.fixture(autouse=True)
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remarks, "bundled_recipes", lambda: {"bge": BGE, "e5": E5})


def told(
    folder: Path, known: Any = None, readme: str = "", backend: Backend = "vllm", **settings: Any
) -> tuple[str, ...]:
    folder.mkdir(exist_ok=True)
    (folder / "README.md").write_text(readme, encoding="utf-8")
    settings.setdefault("name", str(folder))
    files = ModelFiles("m", str(folder), None)
    return remarks_of(known or EmbeddingRecipe(name="embedding"), ModelSettings(**settings), files, backend)


def test_that_transformers_computes_is_told_first(tmp_path: Path) -> None:
    first, second = told(tmp_path / "mine", backend="transformers")
    assert first == "computed with Transformers instead of vLLM (engine.backend), at its own speed"
    assert second.startswith("queries and documents go to the model as they are")


def test_an_embedding_model_of_whose_prompts_nothing_is_known_is_told_with_what_might_apply(tmp_path: Path) -> None:
    (remark,) = told(tmp_path / "mine")
    assert remark.startswith("queries and documents go to the model as they are, as none of its files names a prompt")
    assert remark.endswith("set model.query_prompt and model.document_prompt, or model.recipe to one of bge, e5")


@pytest.mark.parametrize(
    ("folder", "readme"),
    [
        ("multilingual-e5-small", ""),
        ("mine", "# intfloat/e5-large-v2\n"),
        ("mine", "---\nbase_model:\n- intfloat/e5-large-v2\n---\n"),
        ("mine", "---\nbase_model: intfloat/e5-large-v2\n---\n"),
    ],
)
def test_a_model_that_seems_to_be_a_published_one_is_told_its_recipe(tmp_path: Path, folder: str, readme: str) -> None:
    (remark,) = told(tmp_path / folder, readme=readme)
    assert remark.endswith("set model.recipe: by its name it may be e5")


@pytest.mark.parametrize(
    ("known", "settings"),
    [
        (E5, {}),
        (EmbeddingRecipe(name="embedding", query="find: {query}"), {}),
        (None, {"query_prompt": ""}),
        (None, {"recipe": {"kind": "embedding"}}),
        (None, {"instruction": "find it"}),
        (None, {"name": EMBEDDED_MODEL}),
        (CrossEncoderRecipe(), {}),
    ],
    ids=["published", "of its files", "the user's", "a recipe of the user's", "instructed", "embedded", "no embedding"],
)
def test_where_somebody_said_what_applies_nothing_is_remarked(
    tmp_path: Path, known: Any, settings: dict[str, Any]
) -> None:
    assert told(tmp_path / "mine", known, **settings) == ()


def test_code_of_the_models_own_is_told(tmp_path: Path) -> None:
    assert told(tmp_path, CrossEncoderRecipe(), trust_remote_code=True) == (
        "code of the model's own may run (model.trust_remote_code)",
    )


@pytest.mark.parametrize(
    ("name", "words"), [("stanford-colbert", "at 32 tokens"), ("jina-reranker-v3", "at 512 tokens")]
)
def test_where_a_publisher_cuts_queries_is_told(tmp_path: Path, name: str, words: str) -> None:
    (remark,) = told(tmp_path / "mine", bundled_recipe(name))
    assert remark == f"a query is cut {words}, as its publisher does"


def test_a_tokenizer_that_cuts_beginnings_is_a_remark(tmp_path: Path) -> None:
    left = {"tokenizer_config.json": {"truncation_side": "left"}}
    for number, files in enumerate([BERT, classifier("BertForSequenceClassification", "bert")]):
        told = describe(ModelSettings(name=str(lay_out(tmp_path / str(number), {**files, **left})))).remarks
        assert any("truncation_side left" in one for one in told)
    framed = describe(ModelSettings(name=str(lay_out(tmp_path / "c", {**QWEN3_LM, **left})), recipe="zerank")).remarks
    assert framed == ()
