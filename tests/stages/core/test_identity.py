"""Two identities are equal where everything that decides a score is; in what they differ is told in words."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from stages.core.identity import ScoringIdentity, differences, parse_identity, read_key

IDENTITY = ScoringIdentity(
    model=f"sha256:{'a' * 64}",
    family="qwen3-reranker",
    template="single_newline",
    instruction="Find what answers the question",
    max_length=8192,
    scoring_version=2,
    recipe="qwen3-reranker 0123456789ab",
    device="cpu",
    dtype="bfloat16",
    vllm="0.32.0",
    transformers="5.19.0",
    tokenizers="0.22.1",
    settings={"quantization": '"fp8"'},
    backend="vllm",
)
CHANGED: dict[str, Any] = {
    "model": "Qwen/Qwen3-Reranker-0.6B@22e683669b",
    "family": "cross-encoder",
    "template": None,
    "instruction": "Find the opposite",
    "max_length": 256,
    "scoring_version": 3,
    "recipe": "own ba9876543210",
    "device": "cuda",
    "dtype": "float32",
    "vllm": "0.33.0",
    "transformers": "5.20.0",
    "tokenizers": None,
    "settings": {"quantization": '"awq"'},
    "backend": "transformers",
    "long_documents": "passages, at most 32",
}


def test_every_field_is_looked_at_here() -> None:
    assert CHANGED.keys() == asdict(IDENTITY).keys()


@pytest.mark.parametrize("name", CHANGED)
def test_each_field_changes_key_and_digest_and_is_the_one_that_is_named(name: str) -> None:
    other = replace(IDENTITY, **{name: CHANGED[name]})
    assert other.key != IDENTITY.key
    assert other.digest != IDENTITY.digest
    (difference,) = differences(asdict(IDENTITY), asdict(other))
    assert difference.name == ("settings.quantization" if name == "settings" else name)


def test_equal_identities_have_one_key_and_no_difference() -> None:
    again = replace(IDENTITY, settings=dict(IDENTITY.settings))
    assert (again.key, again.digest) == (IDENTITY.key, IDENTITY.digest)
    assert differences(asdict(IDENTITY), asdict(again)) == []


def test_a_key_is_read_back_and_what_another_version_wrote_is_not_taken_for_one() -> None:
    assert read_key(IDENTITY.key) == IDENTITY
    earlier = json.dumps([["0123"], ["qwen3-reranker", "single_newline", "x", 8192], "bfloat16", "auto", {}])
    for key in (earlier, "identity", json.dumps(asdict(IDENTITY) | {"planet": "Mars"}), "{}"):
        assert read_key(key) is None
    assert parse_identity(asdict(IDENTITY)) == IDENTITY


def test_a_difference_is_told_short() -> None:
    other = replace(IDENTITY, model=f"sha256:{'b' * 64}", instruction="x" * 500, tokenizers=None)
    words = [one.words for one in differences(asdict(IDENTITY), asdict(other))]
    assert words[0] == "model sha256:aaaaaaaaaaaa and sha256:bbbbbbbbbbbb"
    assert words[1].endswith("xxx...") and len(words[1]) < 120
    assert words[2] == "tokenizers 0.22.1 and none"


def test_a_field_that_only_one_knows_is_a_difference() -> None:
    assert [one.name for one in differences({"vllm": "0.32.0"}, {"vllm": "0.32.0", "torch": "3"})] == ["torch"]
