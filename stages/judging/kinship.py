"""Whether a judge and what it judges are relatives: of one family of language models, or the very same weights.

A judge favours what resembles it, so that is said without any statistics. Names and configs tell of many; of closed
models, or a name that says nothing, it cannot be told, which is an answer too.

FAMILIES is data: what a name holds (in lower case, between anything that is no letter) or a config's `model_type`, and
the family whose weights the model began with. Sources are the publishers' model cards; where a reranker was trained
from another's base model, its card says which. Hosted rerankers do not tell what they began with, so they have no row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FAMILIES: tuple[tuple[str, str, str], ...] = (
    # What the name holds, the family, and who says so. The first that fits decides: rerankers before their bases.
    ("bge-reranker-v2-gemma", "Gemma", "BAAI/bge-reranker-v2-gemma: trained from google/gemma-2b"),
    ("bge-reranker-v2.5-gemma2", "Gemma", "BAAI/bge-reranker-v2.5-gemma2-lightweight: trained from google/gemma-2-9b"),
    ("bge-reranker-v2-minicpm", "MiniCPM", "BAAI/bge-reranker-v2-minicpm-layerwise: from openbmb/MiniCPM-2B-dpo"),
    ("bge-reranker", "XLM-RoBERTa", "BAAI/bge-reranker-base, -large, -v2-m3: from xlm-roberta and bge-m3"),
    ("jina-reranker-m0", "Qwen", "jinaai/jina-reranker-m0: from Qwen/Qwen2-VL-2B-Instruct"),
    ("jina-reranker-v3", "Qwen", "jinaai/jina-reranker-v3: from Qwen/Qwen3-0.6B"),
    ("mxbai-rerank-base-v2", "Qwen", "mixedbread-ai/mxbai-rerank-base-v2: from Qwen2.5-0.5B"),
    ("mxbai-rerank-large-v2", "Qwen", "mixedbread-ai/mxbai-rerank-large-v2: from Qwen2.5-1.5B"),
    ("nv-rerankqa-mistral", "Mistral", "nvidia/nv-rerankqa-mistral-4b-v3: from Mistral-7B"),
    ("llama-nemotron-rerank", "Llama", "nvidia/llama-nemotron-rerank-1b-v2: from meta-llama/Llama-3.2-1B"),
    ("llama-3.2-nv-rerankqa", "Llama", "nvidia/llama-3.2-nv-rerankqa-1b-v2: from meta-llama/Llama-3.2-1B"),
    ("rankllama", "Llama", "castorini/rankllama-v1-7b-lora-passage: from meta-llama/Llama-2-7b"),
    ("rankvicuna", "Llama", "castorini/rank_vicuna_7b_v1: from Vicuna, which is from Llama 2"),
    ("vicuna", "Llama", "lmsys/vicuna-7b-v1.5: from Llama 2"),
    ("rankzephyr", "Mistral", "castorini/rank_zephyr_7b_v1_full: from HuggingFaceH4/zephyr-7b-beta"),
    ("rank-zephyr", "Mistral", "castorini/rank_zephyr_7b_v1_full: from HuggingFaceH4/zephyr-7b-beta"),
    ("zephyr", "Mistral", "HuggingFaceH4/zephyr-7b-beta: from mistralai/Mistral-7B-v0.1"),
    ("e5-mistral", "Mistral", "intfloat/e5-mistral-7b-instruct: from mistralai/Mistral-7B-v0.1"),
    ("gte-qwen", "Qwen", "Alibaba-NLP/gte-Qwen2-7B-instruct: from Qwen2"),
    ("deepseek-r1-distill-qwen", "Qwen", "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B: from Qwen2.5"),
    ("deepseek-r1-distill-llama", "Llama", "deepseek-ai/DeepSeek-R1-Distill-Llama-8B: from Llama 3.1"),
    ("qwen", "Qwen", "Qwen's own models, their rerankers and embedding models among them"),
    ("qwq", "Qwen", "Qwen/QwQ-32B"),
    ("gemma", "Gemma", "google's own models"),
    ("open-llama", "OpenLLaMA", "openlm-research/open_llama_7b: Llama's architecture, trained from nothing"),
    ("codellama", "Llama", "meta-llama's own models"),
    ("llama", "Llama", "meta-llama's own models"),
    ("mixtral", "Mistral", "mistralai's own models"),
    ("ministral", "Mistral", "mistralai's own models"),
    ("mistral", "Mistral", "mistralai's own models"),
    ("deepseek", "DeepSeek", "deepseek-ai's own models"),
    ("minicpm", "MiniCPM", "openbmb's own models"),
    ("smollm", "SmolLM", "HuggingFaceTB's own models"),
    ("granite-embedding", "Granite encoders", "ibm-granite/granite-embedding-*: encoders, no Granite language models"),
    ("granite", "Granite", "ibm-granite's own models"),
    ("phi", "Phi", "microsoft's own models"),
    ("olmo", "OLMo", "allenai's own models"),
    ("command-a", "Cohere", "CohereLabs's own models"),
    ("command-r", "Cohere", "CohereLabs's own models"),
    ("c4ai", "Cohere", "CohereLabs's own models"),
    ("aya", "Cohere", "CohereLabs's own models"),
    ("gpt-neox", "GPT-NeoX", "EleutherAI/gpt-neox-20b: no model of openai's"),
    ("gpt-neo", "GPT-Neo", "EleutherAI/gpt-neo-2.7B: no model of openai's"),
    ("gpt-j", "GPT-J", "EleutherAI/gpt-j-6b: no model of openai's"),
    ("cerebras-gpt", "Cerebras-GPT", "cerebras/Cerebras-GPT-13B: no model of openai's"),
    ("gpt2", "GPT-2", "openai-community/gpt2: open weights, from which no hosted model began"),
    ("gpt-2", "GPT-2", "openai-community/gpt2: open weights, from which no hosted model began"),
    ("gpt-oss", "gpt-oss", "openai's open weights: which of its models they began with is not told"),
    ("chatgpt", "GPT", "openai's hosted models"),
    ("gpt", "GPT", "openai's hosted models"),
    ("gemini", "Gemini", "google's hosted models"),
    ("claude", "Claude", "anthropic's hosted models"),
    ("jina-reranker", "Jina", "jinaai's own encoders, before v3"),
    ("ms-marco-minilm", "BERT", "cross-encoder/ms-marco-MiniLM-*: from BERT by distillation"),
    ("minilm", "BERT", "microsoft/MiniLM: distilled from BERT"),
    ("modernbert", "ModernBERT", "answerdotai's own models"),
    ("xlm-roberta", "XLM-RoBERTa", "FacebookAI's own models"),
)
# `model_type` of a config.json, where the name tells nothing. Many other models have the architecture of Llama, so
# that alone says nothing of the weights; these are their publisher's own.
MODEL_TYPES = (
    *(("qwen", "Qwen"), ("gemma", "Gemma"), ("gpt_oss", "gpt-oss"), ("granite", "Granite"), ("phi3", "Phi")),
    *(("cohere", "Cohere"), ("minicpm", "MiniCPM"), ("olmo", "OLMo"), ("deepseek", "DeepSeek"), ("mixtral", "Mistral")),
)
_HUB_NAME = re.compile(r"[a-z0-9][^/]*/[^/]+")


@dataclass(frozen=True, slots=True)
class Kinship:
    """`words` is the sentence on it, without a full stop; `known` is False where it cannot be told."""

    related: bool
    known: bool
    words: str


def kinship(judge: Mapping[str, Any], reranker: Mapping[str, Any]) -> str | None:
    """The sentence where they are relatives; None where they are none, and where that cannot be told."""
    found = kinship_of(judge, reranker)
    return found.words if found.related else None


def kinship_of(judge: Mapping[str, Any], reranker: Mapping[str, Any]) -> Kinship:
    """Each is what is known of a model, under whatever of these keys: `name`, `model`, `served_as`, `base`, `revision`,
    `weights_digest` or `weights` (one digest, or one for each file), `model_type`, `family` (how it is scored).
    """
    names = _shown(judge), _shown(reranker)
    if _weights(judge) & _weights(reranker) or _same_name(judge, reranker):
        told = (
            f"the judge, {names[0]}, is the reranker itself"
            if names[0] == names[1]
            else (f"judge {names[0]} and reranker {names[1]} have the same weights")
        )
        return Kinship(True, True, f"{told}: it judges its own order")
    families = [_families(one) for one in (judge, reranker)]
    if shared := families[0] & families[1]:
        family = sorted(shared)[0]
        return Kinship(
            True,
            True,
            f"judge {names[0]} and reranker {names[1]} are both of the {family} family: a judge favours its like",
        )
    unknown = [name for name, found in zip(names, families, strict=True) if not found]
    if unknown:
        whom = " and ".join(unknown)
        return Kinship(
            False, False, f"whether judge and reranker are relatives cannot be told: {whom} is of no known family"
        )
    return Kinship(
        False, True, f"judge and reranker are no relatives ({'; '.join(', '.join(sorted(one)) for one in families)})"
    )


def family_of(name: str, model_type: str | None = None) -> str | None:
    """The family that a model's name, or else its config's `model_type`, tells; None where neither does. Of a path the
    last folder's name tells; a name of the hub as a whole.
    """
    text = name.strip().rstrip("/").lower().replace("_", "-").partition("@")[0]
    tried = [text.rpartition("/")[2], *([text] if _HUB_NAME.fullmatch(text) else [])]
    found = (family for one in tried for sign, family, _ in FAMILIES if _holds(one, sign))
    kind = (model_type or "").lower()
    return next(found, None) or next((family for sign, family in MODEL_TYPES if kind.startswith(sign)), None)


def _holds(text: str, sign: str) -> bool:
    """Whether the sign stands there by itself, not in a longer word: `phi-4` and `phi4`, but not `philo`."""
    return re.search(rf"(?<![a-z]){re.escape(sign)}(?![a-z])", text) is not None


def _families(model: Mapping[str, Any]) -> set[str]:
    """Of its names, else of its config and how it is scored (`qwen3-reranker`)."""
    named = {found for name in _names(model) if (found := family_of(name))}
    return named or {found for found in [family_of(str(model.get("family") or ""), model.get("model_type"))] if found}


def _names(model: Mapping[str, Any]) -> list[str]:
    """Of a cascade those of its stages. An identity's `model` may be a digest, which is no name."""
    told = (model.get(key) for key in ("name", "served_as", "base", "model"))
    parts = (part.strip() for one in told if isinstance(one, str) for part in one.split(" > "))
    return [part for part in dict.fromkeys(parts) if part and not part.startswith(("sha256:", "http"))]


def _shown(model: Mapping[str, Any]) -> str:
    return next(iter(_names(model)), "a model without a name")


def _weights(model: Mapping[str, Any]) -> set[str]:
    """Digests of its weights, however they are told: of a cascade those of each stage."""
    found: set[str] = set()
    for key in ("weights_digest", "weights", "weights_digests"):
        given = model.get(key)
        several = given.values() if isinstance(given, Mapping) else [given] if isinstance(given, str) else given or ()
        found |= {str(one).removeprefix("sha256:") for one in several}
    named = str(model.get("model") or "").split(" > ")
    return found | {one.removeprefix("sha256:") for one in named if one.startswith("sha256:")}


def _same_name(judge: Mapping[str, Any], reranker: Mapping[str, Any]) -> bool:
    """A name of the hub, or one under which an address serves a model; that of a folder says nothing."""
    first, second = ({one.partition("@")[0].lower() for one in _names(model)} for model in (judge, reranker))
    return any(_HUB_NAME.fullmatch(one) or judge.get("served_as") for one in first & second)
