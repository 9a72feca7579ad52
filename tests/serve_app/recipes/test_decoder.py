"""A decoder's recipe has its places and its tokens, or is refused in one line."""

from __future__ import annotations

from typing import Any

import pytest

from serve_app.recipes.bundled import bundled_recipes
from serve_app.recipes.decoder import ARCHITECTURES, FIRST_STEP, DecoderRecipe, around_document, fill
from serve_app.recipes.kinds import parse_recipe, recipe_digest
from stages.core.errors import ConfigError

DECODERS = {name: recipe for name, recipe in bundled_recipes().items() if isinstance(recipe, DecoderRecipe)}


def recipe_of(**content: Any) -> DecoderRecipe:
    told = {"kind": "decoder", "prompt": "{query} {document}", "tokens": {"positive": "yes"}} | content
    recipe = parse_recipe(told, "model.recipe")
    assert isinstance(recipe, DecoderRecipe)
    return recipe


def test_a_prompt_of_one_unit_may_be_written_as_a_text() -> None:
    assert recipe_of().prompt == ("{query} {document}",)
    assert recipe_digest(recipe_of()) == recipe_digest(recipe_of(prompt=["{query} {document}"]))


def test_what_decides_a_score_is_in_the_digest() -> None:
    others = (
        {"prompt": "{query}{document}"},
        {"prompt": ["{query} ", "{document}"]},
        {"tokens": {"positive": "Yes"}},
        {"tokens": {"positive": "yes", "negative": "no"}},
        {"special_tokens": True},
        {"strip": True},
        {"score": {"activation": "sigmoid"}},
        {"instructed": "{instruction} {query} {document}"},
        {"instructed": "{instruction} {query} {document}", "instruction": "find"},
    )
    digests = {recipe_digest(recipe_of(**one)) for one in ({}, *others)}
    assert len(digests) == 1 + len(others)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"prompt": "{document}"}, "prompt has 0 times {query}, and needs it once"),
        ({"prompt": "{query}{query}{document}"}, "prompt has 2 times {query}"),
        ({"prompt": ["{query}", "{document}", "{document}"]}, "prompt has 2 times {document}"),
        ({"prompt": "{query} {document} {instruction}"}, "instruction, the default one, is missing"),
        ({"instruction": "find"}, "neither prompt nor instructed has an {instruction}"),
        ({"instructed": "{query} {document}"}, "instructed has no {instruction}"),
        ({"instructed": "{instruction} {query}"}, "instructed has 0 times {document}"),
        ({"instructed": "{instruction} {instruction} {query} {document}"}, "{instruction} more than once"),
        (
            {
                "prompt": "{instruction} {query} {document}",
                "instruction": "find",
                "instructed": "{instruction}! {query} {document}",
            },
            "instructed is never used",
        ),
        ({"tokens": {"positive": True}}, "YAML reads yes and no as true and false: put it in quotes"),
        ({"tokens": {"positive": -1}}, "tokens.positive"),
        ({"tokens": {"positive": ""}}, "tokens.positive"),
        ({"tokens": {"positive": "1", "negative": "1"}}, "all scores would be 0"),
        ({"tokens": {}}, "tokens.positive: is missing"),
        ({"tokens": None}, "tokens"),
        ({"prompts": "{query} {document}"}, "prompts"),
    ],
)
def test_what_is_no_recipe_is_refused_in_one_line(content: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        recipe_of(**content)
    message = str(caught.value)
    assert message.startswith("model.recipe") and told in message and "\n" not in message


def test_places_are_filled_once_and_what_is_filled_in_is_left_alone() -> None:
    values = {"query": "{document}", "document": "{query} {instruction}", "instruction": "{}"}
    assert fill("{query}|{document}|{instruction}|{other}", values) == "{document}|{query} {instruction}|{}|{other}"


@pytest.mark.parametrize("name", DECODERS)
def test_the_bundled_ones_say_what_they_need(name: str) -> None:
    recipe = DECODERS[name]
    assert recipe.source and recipe.verified
    assert recipe.architectures and set(recipe.architectures) <= {*ARCHITECTURES, FIRST_STEP, *FIRST_STEP}
    assert recipe.max_length is not None and recipe.max_length >= 512
    before, behind = around_document(recipe.prompt)
    assert before + behind == "".join(recipe.prompt) and "{document}" in behind


def test_the_document_begins_the_second_of_two_texts_where_a_unit_begins_with_it() -> None:
    assert around_document(("a {query}", " {document}", "b")) == ("a {query}", " {document}b")
    assert around_document(("a {query} {document} b",)) == ("a {query} ", "{document} b")
