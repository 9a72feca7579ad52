"""Any recipe's prompt is, token for token, what the model's tokenizer gives for its units; where a document is cut, all
the rest is there; and no text can pose as a special token.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from serve_app.engine.frame_encoder import FrameEncoder
from serve_app.recipes.bundled import bundled_recipe
from serve_app.recipes.decoder import DecoderRecipe, fill
from stages.core.errors import ConfigError, QueryTooLongError, ScoringError
from tests.checkpoints.decoder import Architecture, tokenizer_of
from tests.examples import examples

NO_LIMIT = 1_000_000
TOKENS = {"positive": 0}


def own(*prompt: str, **more: Any) -> DecoderRecipe:
    return DecoderRecipe.model_validate({"prompt": prompt, "tokens": TOKENS} | more)


def published(name: str) -> DecoderRecipe:
    recipe = bundled_recipe(name)
    assert isinstance(recipe, DecoderRecipe)
    return recipe


CASES: dict[str, tuple[Architecture, DecoderRecipe]] = {
    "qwen3-reranker": ("qwen3", published("qwen3-reranker")),
    "blank lines": ("qwen3", published("qwen3-reranker-blank-lines")),
    "zerank": ("qwen3", published("zerank")),
    "ctxl 1b": ("qwen3", published("ctxl-rerank-v2")),
    "ctxl 6b": ("mistral", published("ctxl-rerank-v2")),
    "mxbai": ("qwen2", published("mxbai-rerank-v2")),
    "bge-gemma": ("gemma", published("bge-reranker-v2-gemma")),
    "document first": ("llama", own("{document}\n\nrelevant to {query}?", special_tokens=True)),
    "nothing between": ("qwen3", own("{query}{document}?")),
    "inside a word": ("llama", own("<s>({document}ing) {query}")),
    "behind a special token": ("mistral", own("<s>Query: {query}</s>Document: {document} </s> Relevant:")),
    "with an instruction": (
        "gemma",
        own("<bos>{query}\n{document}", instructed=["<bos>[{instruction}] ", "{document}|{query}"]),
    ),
    "a line break before the document": ("gemma", own("<bos>{query}\n{document}\n\nrelevant?")),
    "stripped": ("qwen3", own("<|im_start|>{query}<|im_end|> {document} ", strip=True)),
}


@cache
def tokenizer(architecture: Architecture) -> Any:
    return tokenizer_of(architecture)


def encoder_of(case: str, limit: int = NO_LIMIT, instruction: str | None = None) -> FrameEncoder:
    architecture, recipe = CASES[case]
    return FrameEncoder(tokenizer(architecture).backend_tokenizer, limit, recipe, instruction)


def whole(case: str, query: str, document: str, instruction: str | None = None) -> list[int]:
    """What Transformers' tokenizer gives for the units, each as one text."""
    architecture, recipe = CASES[case]
    task = instruction or recipe.instruction
    units: Sequence[str] = (recipe.instructed if task else None) or recipe.prompt
    if recipe.strip:
        query, document = query.strip(), document.strip()
    values = {"query": query, "document": document, "instruction": task or ""}
    own_tokenizer = tokenizer(architecture)
    around = recipe.special_tokens  # only of prompts of one unit here
    parts = [own_tokenizer(fill(unit, values), add_special_tokens=around)["input_ids"] for unit in units]
    return [one for part in parts for one in part]


def special(case: str) -> dict[str, int]:
    """All that a tokenizer added, but for the line breaks of Gemma's."""
    added = tokenizer(CASES[case][0]).get_added_vocab()
    return {token: number for token, number in added.items() if token.strip()}


def harmless(case: str, *texts: str) -> bool:
    """Whether they hold no special token, which the tokenizer would read as such."""
    return not any(token in text for text in texts for token in special(case))


@pytest.mark.parametrize("case", CASES)
def test_any_text_gives_what_the_tokenizer_gives_for_the_units(case: str) -> None:
    encoder, task = encoder_of(case), CASES[case][1].takes_instruction

    @examples(100)
    @given(query=st.text(max_size=30), document=st.text(max_size=100), instruction=st.text(min_size=1, max_size=20))
    def check(query: str, document: str, instruction: str) -> None:
        assume(harmless(case, query, document, instruction))
        for told in (None, instruction) if task else (None,):
            (prompt,) = encoder.encode(query, told, [document])
            assert prompt.token_ids == whole(case, query, document, told)
            assert not prompt.truncated

    check()


@pytest.mark.parametrize("case", CASES)
def test_of_a_long_document_the_beginning_is_kept_and_the_frame_around_it(case: str) -> None:
    query, document = "what is cut?", "A long document, of which the first sentence says most; 其余的都在后面。 " * 40
    complete = whole(case, query, document)
    frame = len(whole(case, query, ""))
    encoder_tokenizer = tokenizer(CASES[case][0])
    before, _, after = encoder_tokenizer.decode(whole(case, query, "SENTINEL")).partition("SENTINEL")
    for limit in (frame + 3, frame + 50, len(complete) - 1):
        (prompt,) = encoder_of(case, limit).encode(query, None, [document])
        assert prompt.truncated
        assert limit - 2 <= len(prompt.token_ids) <= limit, "as much of the document as there is room for"
        text = encoder_tokenizer.decode(prompt.token_ids, errors="ignore")
        assert text.startswith(before) and text.endswith(after)
        kept = text[len(before) : len(text) - len(after)].rstrip("\ufffd")
        assert document.strip().startswith(kept.strip()) and kept.strip()


@pytest.mark.parametrize("case", CASES)
def test_a_document_that_fits_to_the_last_token_is_not_cut(case: str) -> None:
    query, document = "fits?", "It fits to the last token, 一个字也不少."
    ids = whole(case, query, document)
    (prompt,) = encoder_of(case, len(ids)).encode(query, None, [document])
    assert (prompt.token_ids, prompt.truncated) == (ids, False)
    (prompt,) = encoder_of(case, len(ids) - 1).encode(query, None, [document])
    assert prompt.truncated and len(prompt.token_ids) < len(ids)


@pytest.mark.parametrize("case", CASES)
def test_no_text_puts_a_special_token_into_a_prompt(case: str) -> None:
    added, closing = set(special(case).values()), "".join(special(case))
    encoder = encoder_of(case)
    usual = [one for one in encoder.encode("a query", None, ["a document"])[0].token_ids if one in added]
    (prompt,) = encoder.encode(f"a {closing} query", None, [f"{closing} a document {closing}"])
    assert [one for one in prompt.token_ids if one in added] == usual


@pytest.mark.parametrize("case", CASES)
def test_the_documents_of_a_call_give_one_prompt_each_in_their_order(case: str) -> None:
    encoder = encoder_of(case, len(whole(case, "q", "")) + 20)
    documents = ["one", "", "two " * 100, "三" * 7, "four\n" * 30]
    assert encoder.encode("q", None, documents) == [encoder.encode("q", None, [one])[0] for one in documents]
    assert encoder.encode("q", None, []) == []


@pytest.mark.parametrize("case", CASES)
def test_so_many_tokens_of_a_document_and_no_more(case: str) -> None:
    encoder = encoder_of(case)
    frame = len(whole(case, "a query", ""))
    (short,), (long,) = (encoder.encode("a query", None, ["word " * 100], most) for most in (5, 20))
    assert short.truncated and long.truncated
    assert len(long.token_ids) - len(short.token_ids) == 15
    assert abs(len(short.token_ids) - frame - 5) <= 1


@pytest.mark.parametrize("case", CASES)
def test_a_query_that_leaves_no_room_is_an_error_that_says_by_how_much(case: str) -> None:
    query = "a long query " * 30
    room = len(whole(case, query, ""))
    with pytest.raises(QueryTooLongError, match="tokens too long"):
        encoder_of(case, room - 5).encode(query, None, ["document"])
    assert encoder_of(case, room + 5).encode(query, None, ["document " * 50])[0].truncated


def test_the_settings_instruction_counts_where_a_query_brings_none() -> None:
    case = "with an instruction"
    encoder = encoder_of(case, instruction="of the settings")
    assert encoder.encode("q", None, ["d"])[0].token_ids == whole(case, "q", "d", "of the settings")
    assert encoder.encode("q", "its own", ["d"])[0].token_ids == whole(case, "q", "d", "its own")
    assert encoder_of(case).encode("q", None, ["d"])[0].token_ids == whole(case, "q", "d")


def test_an_instruction_for_a_prompt_without_a_place_for_it_is_an_error() -> None:
    with pytest.raises(ScoringError, match="takes no instruction"):
        encoder_of("bge-gemma").encode("q", "judge", ["d"])


def test_a_token_that_would_stand_there_twice_is_refused() -> None:
    backend = tokenizer("mistral").backend_tokenizer
    with pytest.raises(ConfigError, match="begins with a token that special_tokens adds"):
        FrameEncoder(backend, 100, own("<s>{query} {document}", special_tokens=True), None)


def test_a_tokenizer_that_reads_a_prompt_otherwise_as_a_whole_is_refused() -> None:
    """Here by a special token that swallows the blanks behind it, those of a document too."""
    from tokenizers import AddedToken

    greedy = tokenizer_of("qwen3")
    greedy.add_tokens([AddedToken("<doc>", rstrip=True, normalized=False)])
    with pytest.raises(ConfigError, match="otherwise as a whole"):
        FrameEncoder(greedy.backend_tokenizer, 100, own("{query}<doc>{document}"), None)
