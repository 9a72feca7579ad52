"""What a user meant and did not write in a recipe is told, with what there is instead."""

from __future__ import annotations

from typing import Any

import pytest

from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.own import own_recipe, require_plain
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError

DECODER: dict[str, Any] = {"kind": "decoder", "prompt": ["Q {query}", "D {document}"], "tokens": {"positive": "yes"}}
EMBEDDING: dict[str, Any] = {"kind": "embedding"}

MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "a place that there is not": (DECODER | {"prompt": "{query} {document} {title}"}, "{title} is no place"),
    "double braces": (DECODER | {"prompt": "{{query}} {document}"}, "{{query}} is no place"),
    "a misspelt instruction": (DECODER | {"instructed": "{instuction} {query} {document}"}, "{instruction}"),
    "no kind": ({"prompt": "{query} {document}"}, "kind is missing. Choose from decoder, "),
    "another kind": ({"kind": "reranker"}, "kind 'reranker' is none. Choose from decoder, "),
    "a key that there is not": (DECODER | {"pooling": "mean"}, "takes architectures, max_length, prompt"),
    "no tokens": ({"kind": "decoder", "prompt": "{query} {document}"}, "model.recipe.tokens: is missing"),
    "a word for a mapping": (DECODER | {"score": "sigmoid"}, "model.recipe.score: 'sigmoid' cannot be read"),
    "no number": (DECODER | {"score": {"scale": float("inf")}}, "finite"),
    "somebody else's name": (DECODER | {"name": "zerank"}, "has no name. Remove it"),
    "no pooling at all": (EMBEDDING | {"pooling": {"modes": []}}, "model.recipe.pooling.modes"),
    "the query twice": (EMBEDDING | {"query": "{query} {query}"}, "{query} stands there 2 times"),
    "the document in the query": (EMBEDDING | {"query": "{document} {query}"}, "{document} stands there 1 times"),
    "no instruction in its form": (EMBEDDING | {"instructed": "find {query}"}, "has no {instruction}"),
    "an instruction without a form": (EMBEDDING | {"instructed": None, "instruction": "find"}, "instructed is null"),
}


@pytest.mark.parametrize(("told", "says"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_in_one_line(told: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        own_recipe(told)
    message = str(caught.value)
    assert message.startswith("model.recipe") and says in message and "\n" not in message


@pytest.mark.parametrize(
    "prompt", ['{"q": "{query}", "d": "{document}"}', "{ {query} } {document}", "{query}{document}"]
)
def test_braces_that_are_no_place_are_text(prompt: str) -> None:
    assert own_recipe(DECODER | {"prompt": prompt}).model_dump()["prompt"] == (prompt,)


def test_a_pooling_may_be_a_word() -> None:
    recipe = own_recipe(EMBEDDING | {"pooling": "cls"})
    assert isinstance(recipe, EmbeddingRecipe) and recipe.pooling is not None and recipe.pooling.modes == ("cls",)


@pytest.mark.parametrize("key", ["query_prompt", "document_prompt"])
def test_what_stands_before_a_text_has_no_places(key: str) -> None:
    require_plain(ModelSettings.model_validate({key: "query: {it} "}))
    with pytest.raises(ConfigError, match=f"model.{key}"):
        require_plain(ModelSettings.model_validate({key: "query: {query}"}))
