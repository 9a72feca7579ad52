"""Every layout that people use is scored as its publisher says, or refused in one line: the table of docs/models.md."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from serve_app.engine.models import ModelInfo, describe
from serve_app.recipes import files as model_files
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError
from tests.checkpoints.layouts import (
    BERT,
    ETTIN,
    IDENTITY,
    INSTRUCT,
    MODERN_BERT,
    NEW_CTXL,
    NEW_QWEN3,
    NEW_ZERANK,
    PYLATE,
    QWEN2_LM,
    QWEN3_LM,
    XLM_ROBERTA,
    Files,
    classifier,
    config,
    dense,
    lay_out,
    modules,
    pooled,
    saved,
)


class Row(NamedTuple):
    """`name` is a folder's, or a hub id where it has an owner; `told` is what the recipe must say, by its fields."""

    name: str
    files: Files
    kind: str
    told: Mapping[str, Any] = MappingProxyType({})
    limit: int | None = None
    remark: str = ""
    settings: Mapping[str, Any] = MappingProxyType({})


PROMPTS = saved(prompts={"query": INSTRUCT, "document": ""}, similarity_fn_name="cosine")
GEMMA = saved(prompts={"query": "task: search result | query: ", "document": "title: none | text: "})
MEAN, CLS = pooled("mean_tokens"), pooled("cls_token")
ASYMMETRIC = {"query": "query: {query}", "document": "passage: {document}"}
PLAIN = {"query": "{query}", "document": "{document}"}

SCORED = {
    # --- embedding models ---
    "prompts in the files": Row(
        "a", QWEN3_LM | pooled("lasttoken") | PROMPTS, "embedding", {"query": f"{INSTRUCT}{{query}}"}
    ),
    "EmbeddingGemma": Row(
        "b",
        config("Gemma3TextModel", "gemma3_text", 2048)
        | pooled("mean_tokens", then=(dense(64, 96, IDENTITY), dense(96, 64, IDENTITY), ("Normalize", {})))
        | GEMMA,
        "embedding",
        {"query": "task: search result | query: {query}", "document": "title: none | text: {document}"},
    ),
    "prompts in the card alone, by hub id": Row(
        "intfloat/multilingual-e5-small", XLM_ROBERTA | MEAN, "embedding", ASYMMETRIC
    ),
    "prompts in the card alone, in a folder": Row("c", BERT | MEAN, "embedding", PLAIN, remark="e5"),
    "bge in a folder": Row("d", BERT | CLS, "embedding", PLAIN, remark="bge-en"),
    "prompts of the user's": Row(
        "e", BERT | MEAN, "embedding", ASYMMETRIC, settings={"query_prompt": "query: ", "document_prompt": "passage: "}
    ),
    "dot": Row("f", BERT | CLS | saved(similarity_fn_name="dot"), "embedding", {"similarity": "dot"}),
    "no modules.json": Row("g", BERT, "embedding", {"pooling": {"modes": ["mean"], "include_prompt": True}}),
    "CLS and mean": Row(
        "h",
        BERT | pooled("cls_token", "mean_tokens"),
        "embedding",
        {"pooling": {"modes": ["cls", "mean"], "include_prompt": True}},
    ),
    "lower case": Row(
        "i", BERT | MEAN | {"sentence_bert_config.json": {"do_lower_case": True}}, "embedding", {"lower_case": True}
    ),
    "another limit": Row(
        "j", MODERN_BERT | MEAN | {"tokenizer_config.json": {"model_max_length": 512}}, "embedding", {}, limit=512
    ),
    # --- classifiers ---
    "BERT": Row("k", classifier("BertForSequenceClassification", "bert"), "cross-encoder", limit=512),
    "bge-reranker": Row(
        "l", classifier("XLMRobertaForSequenceClassification", "xlm-roberta", positions=514), "cross-encoder", limit=512
    ),
    "jina-reranker-v2": Row(
        "m",
        classifier(
            "XLMRobertaForSequenceClassification",
            "xlm-roberta",
            positions=1026,
            auto_map={"AutoModelForSequenceClassification": "jinaai/a--modeling.M", "AutoConfig": "jinaai/a--c.C"},
        ),
        "cross-encoder",
        limit=1024,
    ),
    "ModernBERT": Row(
        "n",
        classifier("ModernBertForSequenceClassification", "modernbert", positions=8192),
        "cross-encoder",
        limit=8192,
    ),
    "Camembert": Row(
        "x",
        classifier("CamembertForSequenceClassification", "camembert", positions=514),
        "cross-encoder",
        {"overrides": {"architectures": ["RobertaForSequenceClassification"]}},
        limit=512,
    ),
    "a prompt by default": Row(
        "o",
        classifier("BertForSequenceClassification", "bert")
        | saved(prompts={"find": "find: "}, default_prompt_name="find"),
        "cross-encoder",
        {"query": "find: {query}"},
    ),
    "a converted Qwen3-Reranker, by hub id": Row(
        "tomaarsen/Qwen3-Reranker-0.6B-seq-cls",
        classifier("Qwen3ForSequenceClassification", "qwen3", positions=40_960),
        "cross-encoder",
        {"name": "qwen3-reranker-classifier"},
    ),
    "a converted mxbai-rerank-v2, by hub id": Row(
        "michaelfeil/mxbai-rerank-base-v2-seq",
        classifier("Qwen2ForSequenceClassification", "qwen2", positions=32_768),
        "cross-encoder",
        {"name": "mxbai-rerank-v2-classifier"},
    ),
    "a classifier on a decoder that reads a plain pair": Row(
        "w",
        classifier("Qwen2ForSequenceClassification", "qwen2"),
        "cross-encoder",
        {"prompt": None},
        settings={"recipe": "plain-pair"},
    ),
    "Ettin": Row("p", ETTIN, "modular-cross-encoder", {"name": "modular-cross-encoder"}),
    # --- decoders ---
    "zerank, new": Row("q", NEW_ZERANK, "decoder", {"name": "zerank", "tokens": {"positive": 9454, "negative": None}}),
    "zerank, old": Row("zerank-1-small", QWEN3_LM, "decoder", {"name": "zerank"}),
    "ctxl, new": Row("r", NEW_CTXL, "decoder", {"name": "ctxl-rerank-v2"}),
    "ctxl, old": Row("ctxl-rerank-v2-instruct-multilingual-1b", QWEN3_LM, "decoder", {"name": "ctxl-rerank-v2"}),
    "Qwen3-Reranker, new": Row("s", NEW_QWEN3, "decoder", {"name": "qwen3-reranker"}),
    "Qwen3-Reranker, old": Row("Qwen3-Reranker-0.6B", QWEN3_LM, "decoder", {"name": "qwen3-reranker"}),
    "mxbai-rerank-v2": Row("mixedbread-ai/mxbai-rerank-base-v2", QWEN2_LM, "decoder", {"name": "mxbai-rerank-v2"}),
    "bge-reranker-v2-gemma": Row(
        "BAAI/bge-reranker-v2-gemma",
        config("GemmaForCausalLM", "gemma", 8192),
        "decoder",
        {"name": "bge-reranker-v2-gemma"},
    ),
    # --- a vector a token, and a list as a whole ---
    "GTE-ModernColBERT": Row("t", PYLATE, "late-interaction", {"query_length": 32, "expansion": "unattended"}),
    "ColBERTv2": Row(
        "u",
        config("HF_ColBERT", "bert") | {"artifact.metadata": {"dim": 48, "query_maxlen": 32}},
        "late-interaction",
        {"dimension": 48},
    ),
    "jina-reranker-v3": Row("v", config("JinaForRanking", "qwen3", 131_072), "listwise", {"name": "jina-reranker-v3"}),
}


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What `describe` says of a row; one with an owner is on the hub."""
    commit = "0123456789" * 4

    def download(repository: str, file: str, revision: str | None) -> Path:
        place = tmp_path / repository / commit / file
        if not place.exists():
            raise FileNotFoundError(f"{file} is not in {repository}")
        return place

    monkeypatch.setattr(model_files, "download", download)

    def describe_row(name: str, files: Files, **settings: Any) -> ModelInfo:
        hub = "/" in name
        folder = lay_out(tmp_path / name / (commit if hub else ""), files)
        return describe(ModelSettings(name=name if hub else str(folder), **settings))

    return describe_row


@pytest.mark.parametrize("row", SCORED.values(), ids=SCORED)
def test_a_published_layout_is_scored_as_published(row: Row, found: Any) -> None:
    model: ModelInfo = found(row.name, row.files, **row.settings)
    assert model.recipe is not None
    content = model.recipe.model_dump(mode="json")
    assert (model.recipe.kind, {name: content[name] for name in row.told}) == (row.kind, row.told)
    assert row.limit in (None, model.max_length)
    assert row.remark in " ".join(model.remarks)


FOUR = classifier("BertForSequenceClassification", "bert", labels=4)
REFUSED: dict[str, tuple[str, Files, str]] = {
    "a causal model of which nothing is known": ("a", QWEN3_LM, "without 1_LogitScore"),
    "another causal model": ("a", QWEN2_LM, "without 1_LogitScore"),
    "several labels": ("a", FOUR, "labels 4"),
    "labels that nobody counted": ("a", config("BertForSequenceClassification", "bert"), "labels 2"),
    "a classifier on a decoder": (
        "a",
        classifier("Qwen2ForSequenceClassification", "qwen2"),
        "a classifier on a decoder",
    ),
    "a converted Qwen3-Reranker in a folder": (
        "a",
        classifier("Qwen3ForSequenceClassification", "qwen3"),
        "a classifier on a decoder",
    ),
    "llama-nemotron in a folder": (
        "a",
        classifier("LlamaBidirectionalForSequenceClassification", "llama_bidirec", auto_map={"AutoConfig": "c.C"}),
        "code of the model's own",
    ),
    "nv-rerankqa": (
        "nv-rerankqa-mistral-4b-v3",
        classifier("MistralForSequenceClassification", "mistral"),
        "not published",
    ),
    "gte-multilingual-reranker": (
        "a",
        classifier("NewForSequenceClassification", "new", auto_map={"AutoConfig": "c.NewConfig"}),
        "model_type new, which is code of the model's own",
    ),
    "DeBERTa-v2": (
        "a",
        classifier("DebertaV2ForSequenceClassification", "deberta-v2"),
        "Set engine.backend: transformers, which does",
    ),
    "MPNet": ("a", config("MPNetModel", "mpnet", 514) | pooled("mean_tokens"), "Set engine.backend: transformers"),
    "DistilBERT": (
        "a",
        classifier("DistilBertForSequenceClassification", "distilbert"),
        "Set engine.backend: transformers",
    ),
    "an architecture that nobody has": (
        "a",
        classifier("BertHashForSequenceClassification", "bert"),
        "which neither vLLM nor Transformers has",
    ),
    "jina-reranker-m0": ("a", config("JinaVLForRanking", "qwen2_vl"), "reads pictures"),
    "Qwen3-VL-Reranker": ("a", config("Qwen3VLForConditionalGeneration", "qwen3_vl"), "reads pictures"),
    "minicpm-layerwise": ("a", config("LayerWiseMiniCPMForCausalLM", "minicpm"), "a head of its own"),
    "gemma2-lightweight": ("a", config("CostWiseGemmaForCausalLM", "cost_wise_gemma"), "a head of its own"),
    "SPLADE": ("a", config("BertForMaskedLM", "bert"), "SPLADE"),
    "SPLADE by its modules": ("a", BERT | modules(("SpladePooling", {})), "SpladePooling"),
    "an adapter": ("a", QWEN3_LM | {"adapter_config.json": {"peft_type": "LORA"}}, "adapter_config.json"),
    "a module that is not known": ("a", BERT | pooled("mean_tokens", then=(("CNN", {}),)), "CNN"),
    "a module of somebody's own": ("a", BERT | pooled("mean_tokens", then=(("mine.Own", {}),)), "mine.Own"),
    "a pooling that is not known": ("a", BERT | modules(("Pooling", {"pooling_mode": "attention"})), "attention"),
    "a similarity that is not known": (
        "a",
        BERT | pooled("mean_tokens") | saved(similarity_fn_name="euclidean"),
        "euclidean",
    ),
    "prompts of which none is for queries": (
        "a",
        BERT | pooled("mean_tokens") | saved(prompts={"sts": "sts: "}),
        "model.query_prompt",
    ),
    "a prompt that is not there": (
        "a",
        classifier("BertForSequenceClassification", "bert") | saved(default_prompt_name="find"),
        "default_prompt_name 'find'",
    ),
}


@pytest.mark.parametrize(("name", "files", "told"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_scored_as_published_is_refused_in_one_line(
    name: str, files: Files, told: str, found: Any
) -> None:
    with pytest.raises(ConfigError) as caught:
        found(name, files)
    message = str(caught.value)
    assert message.startswith("model.") and told in message and "\n" not in message


# Whatever family is claimed: none of them makes a model work that is not of it.
@pytest.mark.parametrize("family", ["cross-encoder", "embedding", "decoder", "late-interaction", "listwise"])
@pytest.mark.parametrize(("name", "files", "told"), REFUSED.values(), ids=REFUSED)
def test_no_family_makes_it_pass(family: str, name: str, files: Files, told: str, found: Any) -> None:
    with pytest.raises(ConfigError):
        found(name, files, family=family)


@pytest.mark.parametrize("row", SCORED.values(), ids=SCORED)
def test_a_family_that_a_model_is_not_of_is_refused_and_the_advice_works(row: Row, found: Any) -> None:
    for family in {"cross-encoder", "embedding", "decoder", "late-interaction"} - {row.kind}:
        with pytest.raises(ConfigError, match=r"Leave model.family out"):
            found(row.name, row.files, family=family, **row.settings)
    assert found(row.name, row.files, family=row.kind, **row.settings).recipe.kind == row.kind


# A recipe that a user names, and a model that it does not fit.
MISFITS = {
    "an embedding recipe on a classifier": ("e5", classifier("BertForSequenceClassification", "bert")),
    "an embedding recipe on a causal model": ("e5", QWEN3_LM),
    "a pair on an embedding model": ("plain-pair", BERT | pooled("mean_tokens")),
    "a pair on a causal model": ("plain-pair", QWEN2_LM),
    "a decoder's prompt on an encoder": ("zerank", BERT),
    "a decoder's prompt on another architecture": ("zerank", QWEN2_LM),
    "a converted model's recipe on another": (
        "qwen3-reranker-classifier",
        classifier("Qwen2ForSequenceClassification", "qwen2"),
    ),
    "late interaction on a plain encoder": ("stanford-colbert", BERT),
    "late interaction on a classifier": (
        "pylate-colbert",
        classifier("ModernBertForSequenceClassification", "modernbert"),
    ),
    "a list's recipe on a causal model": ("jina-reranker-v3", QWEN3_LM),
    "one's own embedding on a classifier": ({"kind": "embedding"}, classifier("BertForSequenceClassification", "bert")),
    "one's own vectors a token on a classifier": (
        {"kind": "late-interaction", "query_marker": "[CLS]", "document_marker": "[SEP]", "expansion": "none"},
        classifier("BertForSequenceClassification", "bert"),
    ),
    "one's own pair on an encoder": ({"kind": "cross-encoder"}, BERT),
    "one's own modules on a model without": ({"kind": "modular-cross-encoder"}, BERT),
}


@pytest.mark.parametrize(("recipe", "files"), MISFITS.values(), ids=MISFITS)
def test_a_recipe_that_does_not_fit_the_model_is_refused(recipe: Any, files: Files, found: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        found("a", files, recipe=recipe)
    assert "\n" not in str(caught.value)
