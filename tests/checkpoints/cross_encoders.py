"""Cross-encoders in the layouts that publishers use: classifiers of one label, and chains of modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.checkpoints import backbones
from tests.checkpoints.backbones import HIDDEN
from tests.checkpoints.sentence_transformers import (
    GELU,
    IDENTITY,
    Module,
    add_modules,
    change_json,
    dense,
    layer_norm,
    normalize,
    pooling,
    write_json,
)

NOTHING = "torch.nn.modules.linear.Identity"
ASKED = {"prompts": {"rerank": "find what answers this: "}, "default_prompt_name": "rerank"}


def classifier(
    folder: Path,
    backbone: Callable[..., Path] = backbones.bert,
    *,
    labels: int = 1,
    own: Mapping[str, Any] | None = None,
    transformer: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    **others: Any,
) -> Path:
    """With `own` or `transformer`, sentence-transformers' two files, it has a modules.json, too."""
    backbone(folder, labels=labels, **others)
    if own is not None or transformer is not None:
        add_modules(folder, [])
        write_json(
            folder / "sentence_bert_config.json", {"transformer_task": "sequence-classification", **(transformer or {})}
        )
        write_json(folder / "config_sentence_transformers.json", {"model_type": "CrossEncoder", **(own or {})})
    if config is not None:
        change_json(folder / "config.json", **config)
    return folder


def modular(
    folder: Path,
    *modules: Module,
    backbone: Callable[..., Path] = backbones.modernbert,
    own: Mapping[str, Any] | None = None,
    transformer: Mapping[str, Any] | None = None,
    **others: Any,
) -> Path:
    """The Transformer, `modules`, and what sentence-transformers says of a cross-encoder."""
    backbone(folder, **others)
    add_modules(folder, modules)
    write_json(folder / "sentence_bert_config.json", {"transformer_task": "feature-extraction", **(transformer or {})})
    write_json(folder / "config_sentence_transformers.json", {"model_type": "CrossEncoder", **(own or {})})
    return folder


def ettin(folder: Path, **others: Any) -> Path:
    """The layers of ettin-reranker: dense without bias, GELU, normalization, one number; the raw value is the score."""
    return modular(
        folder,
        pooling("cls", HIDDEN),
        dense(HIDDEN, HIDDEN, GELU, bias=False),
        layer_norm(HIDDEN),
        dense(HIDDEN, 1, IDENTITY, module_output_name="scores"),
        own={"activation_fn": NOTHING},
        **others,
    )


LAYOUTS: dict[str, Callable[[Path], Path]] = {
    "plain": classifier,
    "the raw value, as its config says": lambda folder: classifier(
        folder, config={"sentence_transformers": {"activation_fn": NOTHING}}
    ),
    "the raw value, as older releases say": lambda folder: classifier(
        folder, config={"sbert_ce_default_activation_function": NOTHING}
    ),
    "a prompt": lambda folder: classifier(folder, own=ASKED),
    "lower case, and a limit": lambda folder: classifier(
        folder, backbones.cased_bert, transformer={"max_seq_length": 96, "do_lower_case": True}
    ),
    "a tokenizer that ends before the model": lambda folder: classifier(
        folder, backbones.modernbert, positions=512, tokens=128
    ),
    "Camembert": lambda folder: classifier(folder, backbones.camembert),
    "XLM-RoBERTa": lambda folder: classifier(folder, backbones.xlm_roberta),
    "ettin": ettin,
    "ettin with a limit and a tokenizer's own": lambda folder: ettin(folder, positions=512, tokens=128),
    "modules over several poolings": lambda folder: modular(
        folder,
        pooling(("mean", "max"), HIDDEN),
        normalize(),
        dense(2 * HIDDEN, 1, IDENTITY, module_output_name="scores"),
    ),
    "modules that leave a prompt out": lambda folder: modular(
        folder,
        pooling("mean", HIDDEN, include_prompt=False),
        dense(HIDDEN, 1, IDENTITY, module_output_name="scores"),
        own=ASKED,
        backbone=backbones.xlm_roberta,
    ),
}
