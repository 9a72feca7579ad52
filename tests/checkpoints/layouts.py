"""The small files of published models, as their publishers lay them out, without weights or vocabulary: what says how a
model is scored.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.checkpoints.templates import QWEN3_RERANKER, ZERANK

Files = Mapping[str, Any]
OLD = "sentence_transformers.models"
TANH, GELU, IDENTITY = (
    f"torch.nn.modules.{name}" for name in ("activation.Tanh", "activation.GELU", "linear.Identity")
)


def lay_out(folder: Path, files: Files) -> Path:
    """Write them: texts as they are, all else as JSON."""
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return folder


def config(architecture: str, model_type: str, positions: int = 512, **more: Any) -> Files:
    told = {"architectures": [architecture], "model_type": model_type, "max_position_embeddings": positions}
    return {"config.json": told | more}


def classifier(architecture: str, model_type: str, labels: int = 1, positions: int = 512, **more: Any) -> Files:
    names = {str(place): f"LABEL_{place}" for place in range(labels)}
    return config(architecture, model_type, positions, id2label=names, **more)


def modules(*kinds: tuple[str, Mapping[str, Any]]) -> Files:
    """modules.json of a Transformer and these, each with its config.json."""
    lines = [{"idx": 0, "name": "0", "path": "", "type": f"{OLD}.Transformer"}]
    files: dict[str, Any] = {}
    for place, (kind, told) in enumerate(kinds, 1):
        folder = f"{place}_{kind.rpartition('.')[2]}"
        lines.append(
            {"idx": place, "name": str(place), "path": folder, "type": kind if "." in kind else f"{OLD}.{kind}"}
        )
        files[f"{folder}/config.json"] = told
    return {"modules.json": lines, **files}


def pooled(*modes: str, then: tuple[tuple[str, Mapping[str, Any]], ...] = (("Normalize", {}),)) -> Files:
    """Pooling in the flags of older releases: cls_token, mean_tokens, lasttoken ..."""
    return modules(
        ("Pooling", {"word_embedding_dimension": 64} | {f"pooling_mode_{mode}": True for mode in modes}), *then
    )


def dense(inputs: int, outputs: int, activation: str = TANH, *, bias: bool = True) -> tuple[str, Mapping[str, Any]]:
    return "Dense", {"in_features": inputs, "out_features": outputs, "bias": bias, "activation_function": activation}


def saved(**more: Any) -> Files:
    return {"config_sentence_transformers.json": {"prompts": {}, "default_prompt_name": None} | more}


def logit_score(template: str, positive: int, negative: int | None = None) -> Files:
    """What makes a causal model a CrossEncoder of sentence-transformers, as newer snapshots are."""
    forward = {"method": "forward", "method_output_name": "logits"}
    base, own = "sentence_transformers.base.modules.transformer", "sentence_transformers.cross_encoder.modules"
    lines = [("", f"{base}.Transformer"), ("1_LogitScore", f"{own}.logit_score.LogitScore")]
    return {
        "modules.json": [
            {"idx": place, "name": str(place), "path": path, "type": kind} for place, (path, kind) in enumerate(lines)
        ],
        "1_LogitScore/config.json": {"true_token_id": positive, "false_token_id": negative},
        "sentence_bert_config.json": {
            "transformer_task": "text-generation",
            "modality_config": {"text": forward, "message": forward | {"format": "flat"}},
            "module_output_name": "causal_logits",
            "processing_kwargs": {"chat_template": {"add_generation_prompt": True}},
        },
        "chat_template.jinja": template,
        **saved(activation_fn=IDENTITY, model_type="CrossEncoder"),
    }


BERT, XLM_ROBERTA = config("BertModel", "bert", vocab_size=30_522), config("XLMRobertaModel", "xlm-roberta", 514)
MODERN_BERT = config("ModernBertModel", "modernbert", 8192)
QWEN3_LM, QWEN2_LM = config("Qwen3ForCausalLM", "qwen3", 40_960), config("Qwen2ForCausalLM", "qwen2", 32_768)
SCORES = {"module_input_name": "sentence_embedding", "module_output_name": "scores"}
INSTRUCT = "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:"
ETTIN = (
    MODERN_BERT
    | pooled(
        "cls_token",
        then=(
            dense(64, 64, GELU, bias=False),
            ("LayerNorm", {"dimension": 64}),
            ("Dense", dict(dense(64, 1, IDENTITY)[1]) | SCORES),
        ),
    )
    | saved(activation_fn=IDENTITY, model_type="CrossEncoder")
)
PYLATE = (
    MODERN_BERT
    | modules(("pylate.models.Dense.Dense", dict(dense(64, 32, IDENTITY, bias=False)[1])))
    | saved(query_prefix="[Q] ", document_prefix="[D] ", query_length=32, document_length=300, model_type="ColBERT")
)
CONTENT = "{{ messages | selectattr('role', 'eq', 'ROLE') | map(attribute='content') | first }}"
CTXL = (
    "Check whether a given document contains information helpful to answer the query.\n"
    f"<Document> {CONTENT.replace('ROLE', 'document')}\n<Query> {CONTENT.replace('ROLE', 'query')} ??"
)
NEW_ZERANK, NEW_CTXL = QWEN3_LM | logit_score(ZERANK, 9454), QWEN3_LM | logit_score(CTXL, 0)
NEW_QWEN3 = QWEN3_LM | logit_score(QWEN3_RERANKER, 9693, 2152)
