"""Relatives are named from what both models tell of themselves; where they tell nothing, nothing is claimed."""

from __future__ import annotations

from typing import Any

import pytest

from stages.judging.kinship import FAMILIES, family_of, kinship, kinship_of


@pytest.mark.parametrize(
    ("judge", "reranker", "told"),
    [
        ({"name": "Qwen/Qwen3-8B"}, {"name": "Qwen/Qwen3-Reranker-4B"}, "both of the Qwen family"),
        ({"name": "google/gemma-2-9b-it"}, {"name": "BAAI/bge-reranker-v2-gemma"}, "both of the Gemma family"),
        ({"name": "Qwen/Qwen3-4B"}, {"name": "Qwen/Qwen3-4B", "revision": "abc"}, "is the reranker itself"),
        (
            {"name": "/models/judge", "weights": {"model.safetensors": "ab12"}},
            {"name": "/models/rerank", "weights_digest": "sha256:ab12"},
            "have the same weights",
        ),
        ({"name": "/models/judge", "model_type": "qwen3"}, {"name": "x", "family": "qwen3-reranker"}, "Qwen family"),
        ({"served_as": "qwen2.5-72b-instruct", "url": "http://h"}, {"name": "jinaai/jina-reranker-v3"}, "Qwen family"),
        ({"name": "Qwen/Qwen3-8B"}, {"name": "minilm > Qwen3-Reranker-4B", "family": "cascade"}, "Qwen family"),
    ],
)
def test_relatives_are_told(judge: dict[str, Any], reranker: dict[str, Any], told: str) -> None:
    assert told in (kinship(judge, reranker) or "")


@pytest.mark.parametrize(
    ("judge", "reranker", "known"),
    [
        ({"name": "Qwen/Qwen3-8B"}, {"name": "cross-encoder/ms-marco-MiniLM-L6-v2"}, True),
        ({"served_as": "gpt-4o"}, {"name": "rerank-v3.5", "family": "hosted"}, False),
        ({"name": "/models/a", "weights": ["12"]}, {"name": "/models/b", "weights_digest": "34"}, False),
        ({"name": "judge"}, {"name": "judge"}, False),
        ({"served_as": "gpt-4o"}, {"name": "EleutherAI/gpt-j-6b"}, True),
        ({"served_as": "gpt-3.5-turbo"}, {"name": "EleutherAI/gpt-neox-20b"}, True),
        ({"served_as": "gpt-4o"}, {"name": "openai-community/gpt2"}, True),
        ({"name": "meta-llama/Llama-2-7b"}, {"name": "openlm-research/open_llama_7b"}, True),
        ({"name": "ibm-granite/granite-3.3-8b"}, {"name": "ibm-granite/granite-embedding-reranker-r2"}, True),
        ({}, {}, False),
    ],
)
def test_where_they_are_none_or_tell_nothing_no_relation_is_claimed(
    judge: dict[str, Any], reranker: dict[str, Any], known: bool
) -> None:
    found = kinship_of(judge, reranker)
    assert kinship(judge, reranker) is None
    assert found.known == known
    assert ("cannot be told" in found.words) == (not known)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("my-reranker-gptq", None),
        ("philosophy-ranker", None),
        ("/home/llama/models/reranker", None),
        ("Qwen3-8B-GPTQ-Int4", "Qwen"),
        ("mixedbread-ai/mxbai-rerank-large-v2", "Qwen"),
        ("HuggingFaceTB/SmolLM2-135M-Instruct@0123456789ab", "SmolLM"),
        ("BAAI/bge-reranker-v2-m3", "XLM-RoBERTa"),
    ],
)
def test_a_word_within_another_is_no_family(name: str, family: str | None) -> None:
    assert family_of(name) == family


def test_each_row_names_its_source_and_none_hides_behind_an_earlier_one() -> None:
    for sign, family, source in FAMILIES:
        assert source.strip()
        assert family_of(sign) == family
