"""What an engine gets for an embedding model or a cross-encoder is what sentence-transformers makes of the texts."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.engine.prompts import PairEncoder, TextEncoder, lower_cased, prompt_length
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.modules import Pooling
from stages.core.errors import ConfigError
from tests.tiny_models import bert_tokenizer, qwen3_tokenizer

LIMIT = 24
# Letters, Chinese, blanks, marks, capitals, and text of special tokens.
TEXTS = st.lists(
    st.sampled_from(
        ["Paris", "is", "the", "CAPITAL", "of", "北京", "首都", "\n", "  ", "İ", "é", "[SEP]", "<mask>", "?", "42"]
    ),
    max_size=30,
).map(" ".join)
PROMPTS = st.sampled_from(["", "query: ", "Represent this: ", "为这个句子生成表示：", "Instruct: Find it\nQuery:"])
KINDS: dict[str, Callable[[], Any]] = {
    "bert": bert_tokenizer,
    "qwen3": qwen3_tokenizer,
}


@cache
def tokenizers(kind: str) -> tuple[Any, Any]:
    """That of an encoder, and that of sentence-transformers: Transformers' own, which splits special tokens' text."""
    mine, theirs = KINDS[kind](), KINDS[kind]()
    theirs.split_special_tokens = True
    return mine, theirs


def cut(theirs: Any, text: str | list[str], kind: str = "input_ids") -> list[int]:
    """As sentence-transformers cuts: the longest of several texts, at its end."""
    found: list[int] = theirs([text], truncation="longest_first", max_length=LIMIT)[kind][0]
    return found


@pytest.mark.parametrize("kind", ["bert", "qwen3"])
@given(query=TEXTS, document=TEXTS, before=PROMPTS, before_document=PROMPTS)
def test_a_text_with_its_prompt_is_encoded_as_one(
    kind: str, query: str, document: str, before: str, before_document: str
) -> None:
    mine, theirs = tokenizers(kind)
    recipe = EmbeddingRecipe(query=before + "{query}", document=before_document + "{document}")
    encoder = TextEncoder(mine.backend_tokenizer, LIMIT, recipe)
    if len(theirs(before + query)["input_ids"]) > LIMIT:
        return  # a query that does not fit is refused here, and cut there
    asked, given_ = encoder.encode(query, None, [document])
    assert asked.token_ids == cut(theirs, before + query)
    assert given_.token_ids == cut(theirs, before_document + document)
    assert given_.truncated == (len(theirs(before_document + document)["input_ids"]) > LIMIT)


@given(query=TEXTS, document=TEXTS, before=PROMPTS)
def test_a_pair_has_the_prompt_before_its_query(query: str, document: str, before: str) -> None:
    mine, theirs = tokenizers("bert")
    encoder = PairEncoder(mine.backend_tokenizer, LIMIT, token_types=True, before=before)
    first = theirs(before + query, add_special_tokens=False)["input_ids"]
    if len(first) > LIMIT // 3:
        return  # sentence-transformers would cut the query, too
    (pair,) = encoder.encode(query, None, [document])
    assert pair.token_ids == cut(theirs, [before + query, document])
    types = cut(theirs, [before + query, document], "token_type_ids")
    assert types == [int(place >= (pair.second_part or LIMIT)) for place in range(len(types))]


@given(text=TEXTS, before=PROMPTS)
def test_in_lower_case_a_text_is_encoded_as_it_is_spelled_in_small_letters(text: str, before: str) -> None:
    """Letter by letter: a sigma at the end of a word is like any other."""
    _, theirs = tokenizers("qwen3")
    recipe = EmbeddingRecipe(query=before + "{query}", document="{document}")
    encoder = TextEncoder(lower_cased(qwen3_tokenizer_once()), 512, recipe)
    asked, given_ = encoder.encode(text, None, [text])
    small = ["".join(letter.lower() for letter in one) for one in (before + text, text)]
    assert [asked.token_ids, given_.token_ids] == [theirs(one)["input_ids"] for one in small]


@cache
def qwen3_tokenizer_once() -> Any:
    return qwen3_tokenizer().backend_tokenizer


def test_a_prompt_is_as_long_as_its_tokens_less_a_special_one_at_the_end() -> None:
    """As sentence-transformers counts what it leaves out of a mean: with what stands at the beginning."""
    bert, qwen3 = bert_tokenizer().backend_tokenizer, qwen3_tokenizer_once()
    for tokenizer, around in ((bert, 1), (qwen3, 0)):
        alone = len(tokenizer.encode("query: ", add_special_tokens=False).ids)
        assert prompt_length(tokenizer, "query: ") == alone + around
        assert prompt_length(tokenizer, "") == 0


def test_a_prompt_with_a_special_token_is_refused() -> None:
    recipe = EmbeddingRecipe(query="[MASK] {query}", document="{document}")
    tokenizer = bert_tokenizer().backend_tokenizer
    with pytest.raises(ConfigError, match=r"the prompt '\[MASK\] ' holds a special token"):
        TextEncoder(tokenizer, LIMIT, recipe)
    with pytest.raises(ConfigError, match="holds a special token"):
        PairEncoder(tokenizer, LIMIT, token_types=True, before="[SEP]")


def test_prompts_are_counted_only_where_they_are_left_out() -> None:
    for include, expected in ((True, 0), (False, prompt_length(bert_tokenizer().backend_tokenizer, "query: "))):
        recipe = EmbeddingRecipe(
            query="query: {query}", document="{document}", pooling=Pooling(modes=("mean",), include_prompt=include)
        )
        asked, given_ = TextEncoder(bert_tokenizer().backend_tokenizer, LIMIT, recipe).encode("a bird", None, ["bird"])
        assert (asked.prompt_tokens, given_.prompt_tokens) == (expected, 0)
