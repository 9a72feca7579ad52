"""What decides a score is in the identity, what does not is left out; and our own part in it has a version."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, replace
from types import SimpleNamespace
from typing import Any, get_args

import numpy as np
import pytest
import torch
from tokenizers import AddedToken, Tokenizer
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import ByteLevel, Whitespace
from tokenizers.processors import TemplateProcessing

from serve_app.engine import identity
from serve_app.engine.engine_args import Host, engine_arguments
from serve_app.engine.frame_encoder import FrameEncoder
from serve_app.engine.identity import (
    DECIDE_NO_SCORE,
    SCORING_VERSION,
    deciding_settings,
    foresee_identity,
    make_identity,
)
from serve_app.engine.kinds.embedding import NO_DIRECTION
from serve_app.engine.models import ModelInfo
from serve_app.engine.outputs import classified
from serve_app.engine.passages import PassageEncoder, best_of
from serve_app.engine.prompts import PairEncoder, Prompt, PromptEncoder, TextEncoder
from serve_app.engine.vectors import similar
from serve_app.recipes.decoder import DecoderRecipe
from serve_app.recipes.embedding import EmbeddingRecipe
from serve_app.recipes.recipe import Score
from serve_app.settings import EngineSettings, Family, ModelSettings, Template
from stages.core.identity import ScoringIdentity
from stages.core.records import PairScore
from tests.recipes import PLAIN, recipe_of

HUB = ModelInfo(
    "Qwen/Qwen3-Reranker-0.6B", "Qwen/Qwen3-Reranker-0.6B", "22e683669b", recipe_of("qwen3-reranker"), 8192, None
)
LOCAL = replace(HUB, name="/models/a", path="/models/a", revision=None, digest="0123")


def made(model: ModelInfo = LOCAL, prompt: dict[str, Any] | None = None, **engine: Any) -> ScoringIdentity:
    return make_identity(model, ModelSettings(**(prompt or {})), EngineSettings(**engine), "cpu", "bfloat16")


# --- what is in it ---


def test_documents_read_in_passages_are_told_with_their_bound_and_a_bound_alone_is_not() -> None:
    assert made().long_documents is None
    assert made(prompt={"max_passages": 5}) == made()
    told = [made(prompt={"long_documents": "passages", "max_passages": most}).long_documents for most in (5, 6)]
    assert told == ["passages, at most 5", "passages, at most 6"]


def test_a_hub_model_is_named_by_its_commit_and_a_folder_by_its_content() -> None:
    assert made(HUB).model == "Qwen/Qwen3-Reranker-0.6B@22e683669b"
    assert made(LOCAL).model == "sha256:0123"
    assert made(replace(LOCAL, name="/models/b", path="/models/b")) == made(LOCAL)


def test_the_packages_that_compute_a_score_are_told_by_their_versions() -> None:
    told = made()
    assert told.vllm and told.transformers and told.tokenizers
    assert made(replace(LOCAL, recipe=None, name="overlap")).vllm is None, "no package scores it"


@pytest.mark.parametrize(
    ("family", "template", "instruction"),
    [
        ("qwen3-reranker", "blank_line", "find it"),
        ("cross-encoder", None, "find it"),
        ("embedding", None, "find it"),
    ],
)
def test_a_template_is_told_of_the_family_that_has_one(family: Family, template: str | None, instruction: str) -> None:
    told = made(replace(LOCAL, recipe=recipe_of(family)), {"template": "blank_line", "instruction": "find it"})
    assert (told.family, told.template, told.instruction) == (family, template, instruction)


def test_no_instruction_is_the_families_own() -> None:
    web_search = "Given a web search query, retrieve relevant passages that answer the query"
    assert made().instruction == web_search
    assert made(prompt={"instruction": web_search}) == made()
    assert made(replace(LOCAL, recipe=recipe_of("embedding"))).instruction is None


@pytest.mark.parametrize(
    "settings",
    [
        {"load_format": "dummy"},
        {"extra": {"quantization": "fp8"}},
        {"extra": {"hf_overrides": {"classifier_from_token": ["false", "true"]}}},
        {"extra": {"pooler_config": {"pooling_type": "MEAN"}}},
        {"extra": {"enable_lora": True}},
        {"extra": {"kv_cache_dtype": "fp8"}},
        {"extra": {"an_argument_of_next_year": 1}},
    ],
    ids=str,
)
def test_a_setting_that_changes_values_is_in_it(settings: dict[str, Any]) -> None:
    assert made(**settings) != made()


@pytest.mark.parametrize(
    "settings",
    [
        {"max_num_seqs": 64, "max_num_batched_tokens": 4096, "block_size": 64},
        {"kv_cache_gib": 1, "prefix_caching": False, "compile": False, "tensor_parallel": 2},
        {"extra": {"max_num_seqs": 3, "enforce_eager": True, "hf_token": "hf_secret", "enable_chunked_prefill": False}},
    ],
    ids=str,
)
def test_how_fast_scores_are_made_is_not(settings: dict[str, Any]) -> None:
    assert made(**settings) == made()


def test_what_may_be_a_secret_is_told_apart_and_not_shown() -> None:
    told, other = (
        deciding_settings(EngineSettings(extra={"additional_config": {"api_key": key, "plain": 1}}))
        for key in ("hunter22", "hunter23")
    )
    assert told != other
    assert "hunter22" not in json.dumps(told) and '"plain": 1' in told["additional_config"]


def test_every_setting_that_is_left_out_is_known_to_vllm_by_that_name() -> None:
    arguments = identity_free_source()
    assert {name for name in DECIDE_NO_SCORE if f" {name}:" not in arguments} == set()


def identity_free_source() -> str:
    """vLLM's own list of its arguments, read as text: importing it takes seconds."""
    from importlib.util import find_spec
    from pathlib import Path

    package = find_spec("vllm")
    assert package is not None and package.origin is not None
    return (Path(package.origin).parent / "engine" / "arg_utils.py").read_text(encoding="utf-8")


# --- what is foreseen ---


@pytest.mark.parametrize(
    ("dtype", "device", "config", "bfloat16", "foreseen"),
    [
        ("float16", "cpu", {}, True, "float16"),
        ("auto", "cpu", {"dtype": "float16"}, True, "bfloat16"),
        ("auto", "cpu", {"dtype": "float16"}, False, "float32"),
        ("auto", "cuda", {"dtype": "bfloat16"}, False, "bfloat16"),
        ("auto", "cuda", {"torch_dtype": "float16"}, False, "float16"),
        ("auto", "cuda", {"torch_dtype": "float32"}, False, "float16"),
        ("auto", "cuda", {}, False, "float16"),
    ],
)
def test_the_dtype_that_auto_comes_to_is_foreseen(
    monkeypatch: pytest.MonkeyPatch, dtype: Any, device: str, config: dict[str, Any], bfloat16: bool, foreseen: str
) -> None:
    monkeypatch.setattr(identity, "has_bfloat16", lambda: bfloat16)
    monkeypatch.setattr(identity, "model_config", lambda _: config)
    assert foresee_identity(LOCAL, ModelSettings(), EngineSettings(dtype=dtype), device).dtype == foreseen


def test_that_code_of_the_models_own_ran_decides_a_score() -> None:
    plain = make_identity(LOCAL, ModelSettings(), EngineSettings(), "cpu", "float32")
    trusted = make_identity(replace(LOCAL, trust_remote_code=True), ModelSettings(), EngineSettings(), "cpu", "float32")
    assert trusted == replace(plain, settings={"trust_remote_code": "true"})


# --- our own part ---

# SCORING_VERSION -> digest of what it stands for.
KNOWN = {3: "a14dc2ec9d3e3e37"}
TEXTS = (
    "a",
    "b a",
    "",
    "a " * 40,
    "[SEP] <|im_end|> b",
    "<|im_end|>\n<|im_start|>assistant",
    "é 文 \u0301",
    "  a\nb\t",
)
HOSTS = (Host("cpu", 256, 4096, True), Host("cpu", 256, 4096, False), Host("gpu", 1024, 16384, True))


def bytes_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(BPE({letter: place for place, letter in enumerate(sorted(ByteLevel.alphabet()))}, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.add_tokens([AddedToken(name, special=True) for name in ("<|im_start|>", "<|im_end|>")])
    tokenizer.add_tokens([AddedToken(name, special=False) for name in ("<think>", "</think>")])
    return tokenizer


def words_tokenizer() -> Tokenizer:
    words = {word: place for place, word in enumerate(("[CLS]", "[SEP]", "[UNK]", "a", "b", "SEP", "[", "]"))}
    tokenizer = Tokenizer(WordLevel(words, "[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in ("[CLS]", "[SEP]")])
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    return tokenizer


def encoder_of(
    family: str, tokenizer: Tokenizer, limit: int, template: Template, instruction: str | None
) -> PromptEncoder:
    if family == "qwen3-reranker":
        recipe = recipe_of("qwen3-reranker" if template == "single_newline" else "qwen3-reranker-blank-lines")
        assert isinstance(recipe, DecoderRecipe)
        return FrameEncoder(tokenizer, limit, recipe, instruction)
    if family == "cross-encoder":
        return PairEncoder(tokenizer, limit, token_types=True)
    return TextEncoder(tokenizer, limit, EmbeddingRecipe(), instruction)


def prompts() -> list[Any]:
    """Of each family, template, instruction and cut: what would be sent to the engine."""
    found: list[Any] = []
    for family in PLAIN:
        for template in get_args(Template) if family == "qwen3-reranker" else ("single_newline",):
            for default, instruction in ((None, None), ("do", None), ("do", "a b")):
                if family == "cross-encoder" and (default or instruction):
                    continue
                tokenizer = bytes_tokenizer() if family == "qwen3-reranker" else words_tokenizer()
                limit = 400 if family == "qwen3-reranker" else 24
                encoder = encoder_of(family, tokenizer, limit, template, default)
                for most in (None, 3):
                    found.append([one[:3] for one in encoder.encode("a [SEP] b <|im_end|>", instruction, TEXTS, most)])
    return found


def passages() -> list[Any]:
    """Of documents that do not fit: how they are divided, within the bound and beyond it."""
    long = [" ".join(["a b", "SEP"] * words) for words in (8, 40)]
    encoder = PassageEncoder(PairEncoder(words_tokenizer(), 24, token_types=True), 5)
    return encoder.encode("a b", None, ["a", *long])


def outputs() -> list[Any]:
    def output(*values: float) -> Any:
        return SimpleNamespace(outputs=SimpleNamespace(data=torch.tensor(values)), num_cached_tokens=1)

    prompt = Prompt([1, 2, 3], True)
    given = [output(0.5), output(-40.0), output(float("nan")), output(), output(1.0, 2.0), "refused"]
    vectors = np.array(((0.6, 0.8), (-1.0, 2.0), (0.0, 0.0)), np.float32)
    scores = [classified(prompt, one, Score()) for one in given]
    scores += [best_of([scores[0], scores[1], scores[0]]), best_of([scores[1], scores[2]])]
    cosines = [
        PairScore(one, prompt_tokens=3, truncated=True, error=None if one is not None else NO_DIRECTION)
        for one in similar(vectors[0], vectors, "cosine")
    ]
    told = [asdict(one) for one in (*scores, *cosines)]
    # Ten digits: the last ones are the machine's library of mathematics.
    return [
        {name: float(f"{one:.10g}") if isinstance(one, float) else one for name, one in pair.items()} for pair in told
    ]


def asked_of_vllm() -> list[Any]:
    models = [replace(LOCAL, recipe=recipe_of(family)) for family in PLAIN]
    return [
        {
            name: value
            for name, value in engine_arguments(model, EngineSettings(), host).items()
            if name not in DECIDE_NO_SCORE
        }
        for model in models
        for host in HOSTS
    ]


def test_the_scoring_version_is_raised_where_prompts_or_outputs_change() -> None:
    """Where this fails on purpose: raise SCORING_VERSION by one, and note the digest that is printed beside it."""
    told = json.dumps([prompts(), passages(), outputs(), asked_of_vllm()], sort_keys=True)
    digest = hashlib.sha256(told.encode()).hexdigest()[:16]
    assert KNOWN.get(SCORING_VERSION) == digest, "stored scores would be taken for what is scored otherwise now"
