"""Embedding models in the layouts that publishers use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.checkpoints import backbones
from tests.checkpoints.backbones import HIDDEN
from tests.checkpoints.sentence_transformers import (
    GELU,
    IDENTITY,
    TANH,
    Module,
    add_modules,
    dense,
    layer_norm,
    normalize,
    pooling,
    write_json,
)

E5 = {"query": "query: ", "passage": "passage: "}
GEMMA = {"query": "task: search result | query: ", "document": "title: none | text: "}
SEARCHING = "Represent this sentence for searching relevant passages: "
NOMIC = ("search_query: ", "search_document: ")
WEB = "Given a web search query, retrieve relevant passages that answer the query"
QWEN3 = {"query": f"Instruct: {WEB}\nQuery:", "document": ""}


class Layout(NamedTuple):
    """A maker of a model's folder; settings to score it with; and, for sentence-transformers, the prompts of query and
    document, and the similarity, where it would not take them from the files.
    """

    make: Callable[[Path], Path]
    settings: Mapping[str, Any] = {}
    prompts: tuple[str, str] | None = None
    similarity: str | None = None


def make(
    folder: Path,
    *modules: Module,
    backbone: Callable[[Path], Path] = backbones.bert,
    own: Mapping[str, Any] | None = None,
    transformer: Mapping[str, Any] | None = None,
) -> Path:
    """`own` is config_sentence_transformers.json, `transformer` sentence_bert_config.json."""
    backbone(folder)
    if modules:
        add_modules(folder, modules)
    if own is not None:
        write_json(folder / "config_sentence_transformers.json", own)
    if transformer is not None:
        write_json(folder / "sentence_bert_config.json", transformer)
    return folder


def _layout(*modules: Module, **others: Any) -> Callable[[Path], Path]:
    return lambda folder: make(folder, *modules, **others)


MEAN, CLS, LAST = (pooling(mode, HIDDEN) for mode in ("mean", "cls", "lasttoken"))
LAYOUTS: dict[str, Layout] = {
    "prompts, as e5 might declare them": Layout(
        _layout(MEAN, normalize(), own={"prompts": E5}), {}, tuple(E5.values())
    ),
    "prompts of the user's": Layout(
        _layout(MEAN), {"query_prompt": "query: ", "document_prompt": "passage: "}, ("query: ", "passage: ")
    ),
    "dense layers and prompts, as EmbeddingGemma": Layout(
        _layout(
            MEAN,
            dense(HIDDEN, 96, IDENTITY, bias=False),
            dense(96, HIDDEN, IDENTITY, bias=False),
            normalize(),
            own={"prompts": GEMMA, "default_prompt_name": None, "similarity_fn_name": "cosine"},
        )
    ),
    "dense, normalization, a residual, dot": Layout(
        _layout(
            CLS,
            dense(HIDDEN, 48, TANH),
            layer_norm(48),
            dense(48, 48, GELU, use_residual=True),
            dense(48, 40, IDENTITY, use_residual=True),
            own={"similarity_fn_name": "dot"},
            backbone=backbones.modernbert,
        )
    ),
    "no modules at all, as contriever": Layout(_layout()),
    "the largest of each": Layout(_layout(pooling("max", HIDDEN))),
    "a weighted mean": Layout(_layout(pooling("weightedmean_tokens", HIDDEN), own={"similarity_fn_name": "dot"})),
    "over the square root of the length, dot": Layout(
        _layout(pooling("mean_sqrt_len_tokens", HIDDEN), own={"similarity_fn_name": "dot"})
    ),
    "two poolings": Layout(_layout(pooling(("cls", "mean"), HIDDEN))),
    "prompts left out of the mean, as instructor": Layout(
        _layout(pooling("mean", HIDDEN, include_prompt=False), own={"prompts": {"query": "ask: ", "document": "say: "}})
    ),
    "an instruction, as Qwen3-Embedding": Layout(
        _layout(LAST, normalize(), own={"prompts": QWEN3, "similarity_fn_name": "cosine"}, backbone=backbones.qwen3)
    ),
    "another instruction": Layout(
        _layout(LAST, normalize(), own={"prompts": QWEN3}, backbone=backbones.qwen3),
        {"instruction": "Find the code"},
        ("Instruct: Find the code\nQuery:", ""),
    ),
    "the vectors' first numbers": Layout(_layout(MEAN, normalize(), own={"truncate_dim": 48}), {"dimensions": 16}),
    "texts in lower case, and a limit": Layout(
        _layout(MEAN, backbone=backbones.cased_bert, transformer={"max_seq_length": 64, "do_lower_case": True})
    ),
    "a tokenizer that ends before the model": Layout(
        _layout(CLS, backbone=lambda folder: backbones.modernbert(folder, positions=512, tokens=128))
    ),
    "a limit of null": Layout(_layout(MEAN, transformer={"max_seq_length": None, "do_lower_case": False})),
    "XLM-RoBERTa, saved by Transformers 5": Layout(_layout(CLS, normalize(), backbone=backbones.xlm_roberta)),
    "the recipe of e5": Layout(_layout(MEAN, normalize()), {"recipe": "e5"}, tuple(E5.values())),
    "the recipe of bge for Chinese": Layout(
        _layout(CLS, normalize()), {"recipe": "bge-zh"}, ("为这个句子生成表示以用于检索相关文章：", "")
    ),
    "the recipe of bge for English": Layout(_layout(CLS, normalize()), {"recipe": "bge-en"}, (SEARCHING, "")),
    "the recipe of arctic": Layout(_layout(CLS, normalize()), {"recipe": "arctic-embed"}, (SEARCHING, "")),
    "the recipe of arctic 2": Layout(
        _layout(CLS, normalize(), backbone=backbones.xlm_roberta), {"recipe": "arctic-embed-v2"}, ("query: ", "")
    ),
    "the recipe of e5 with instructions": Layout(
        _layout(MEAN, normalize(), backbone=backbones.xlm_roberta),
        {"recipe": "e5-instruct"},
        (f"Instruct: {WEB}\nQuery: ", ""),
    ),
    "the recipe of EmbeddingGemma": Layout(
        _layout(MEAN, normalize()),
        {"recipe": "embeddinggemma"},
        ("task: search result | query: ", "title: none | text: "),
    ),
    "the recipe of nomic": Layout(_layout(MEAN), {"recipe": "nomic-embed"}, NOMIC),
    "the recipe of nomic 1.5": Layout(_layout(MEAN), {"recipe": "nomic-embed-v1.5"}, NOMIC),
    "the recipe without prompts": Layout(_layout(CLS, normalize()), {"recipe": "without-prompts"}),
    "the recipe of Qwen3-Embedding with a blank": Layout(
        _layout(LAST, normalize(), own={"prompts": QWEN3}, backbone=backbones.qwen3),
        {"recipe": "qwen3-embedding-blank"},
        (f"Instruct: {WEB}\nQuery: ", ""),
    ),
    "a recipe with the dot product": Layout(_layout(MEAN), {"recipe": "dot-product"}, None, "dot"),
    "Camembert": Layout(_layout(MEAN, backbone=backbones.camembert)),
}
