"""What may lie in a model's folder, decides its scores, and is followed by no recipe: refused before anything starts.

Each kind of recipe reads the files that are its own; here is what concerns a model of any kind.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from serve_app.recipes.architectures import require_anywhere
from serve_app.recipes.files import ModelFiles
from serve_app.recipes.known_keys import require_known_keys
from serve_app.recipes.weights import require_loadable
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError

QUANTIZATIONS = "model_executor/layers/quantization/__init__.py"
QUANTIZATIONS_NAME = "QuantizationMethods"
# Names that vLLM takes for one of those in its list.
ALIASES = {"auto-round": "inc", "autoround": "inc", "intel/auto-round": "inc"}
# Architectures, or how they end -> why nothing here scores them. No family or recipe makes one of them work.
UNSCORED = {
    "JinaVLForRanking": "reads pictures beside texts (jina-reranker-m0); its prompts are not made here",
    "LlamaNemotronVLForSequenceClassification": "reads pictures beside texts; its prompts are not made here",
    "LayerWiseMiniCPMForCausalLM": "is scored by a head of its own behind the layer that is asked for "
    "(bge-reranker-v2-minicpm-layerwise), which the engine does not compute",
    "CostWiseGemmaForCausalLM": "is scored by a head of its own behind a layer, with tokens merged on the way "
    "(bge-reranker-v2.5-gemma2-lightweight), which the engine does not compute",
    "VLForConditionalGeneration": "reads pictures beside texts (Qwen3-VL-Reranker); its prompts are not made here",
    "VLMoeForConditionalGeneration": "reads pictures beside texts; its prompts are not made here",
    "ForMaskedLM": "predicts masked words: without modules.json, nothing says how that becomes a score. Sparse models "
    "(SPLADE) are not scored here",
    "ForTokenClassification": "judges each token by itself; a reranker gives a text one value",
    "ForQuestionAnswering": "finds a span of a text; a reranker gives a text one value",
    "ForMultipleChoice": "chooses among answers; a reranker gives each text its value",
    "ForNextSentencePrediction": "predicts whether a sentence follows; a reranker gives one value",
    "ForImageClassification": "reads pictures; a reranker reads texts",
    "CLIPModel": "reads pictures; a reranker reads texts",
}
# Model types whose classes read absolute positions, whatever their config says; late interaction sees to its own.
ABSOLUTE = frozenset(
    {"bert", "camembert", "data2vec-text", "electra", "ernie", "megatron-bert", "roberta", "roberta-prelayernorm"}
    | {"xlm-roberta", "xlm-roberta-xl", "xmod"}
)
# Hub ids, or how a folder is called -> why their prompt cannot be made.
UNPUBLISHED = {
    r"nv-rerankqa-mistral-4b|nv-rerankqa-1b": "its prompt is not published: it is only offered as a service (NIM)",
}


def require_whole(settings: ModelSettings, files: ModelFiles) -> None:
    """Raises ConfigError, with file, value and what would be needed, for what no recipe follows."""
    require_loadable(files)
    _require_merged(files)
    _require_one_architecture(files)
    _require_quantization(files)
    _require_code(settings, files)
    own_code = settings.trust_remote_code and "auto_map" in files.config
    if not own_code:
        _require_positions(files)
    require_anywhere(files.name, files.architecture, own_code=own_code)
    require_known_keys(files)
    name = Path(files.path).name.lower()
    for pattern, reason in UNPUBLISHED.items():
        if settings.recipe is None and re.search(pattern, name):
            raise ConfigError(
                f"model.name {files.name}: {reason}. Choose another model, or write its prompt in model.recipe."
            )


def _require_merged(files: ModelFiles) -> None:
    if (adapter := files.json("adapter_config.json", optional=True)) is None:
        return
    kind, base = adapter.get("peft_type", "adapter"), adapter.get("base_model_name_or_path", "a base model")
    raise ConfigError(
        f"model.name {files.name}: adapter_config.json says {kind} weights on top of {base}, which the engine would "
        "leave out. Merge them (peft: merge_and_unload), save the model without adapter_config.json, and "
        "name that folder."
    )


def _require_one_architecture(files: ModelFiles) -> None:
    named = files.config.get("architectures") or []
    named = [named] if isinstance(named, str) else named
    if len(named) != 1:
        told = f"{len(named)} architectures ({', '.join(map(str, named))})" if named else "no architecture"
        raise ConfigError(
            f"model.name {files.name}: config.json names {told}, so how it is read is not known. Needed: architectures "
            "with the one class that its weights are of."
        )
    for end, reason in UNSCORED.items():
        if files.architecture.endswith(end) and not _pools(files):
            raise ConfigError(
                f"model.name {files.name}: config.json says {files.architecture}, which {reason}. Choose another model."
            )


def _pools(files: ModelFiles) -> bool:
    """A masked language model's body may be an embedding model: then its modules say how it pools."""
    return any("Pooling" in str(module.get("type")) for module in files.json("modules.json", optional=True) or [])


def _require_positions(files: ModelFiles) -> None:
    """vLLM ends with such a model; Transformers 5 takes its positions for absolute ones without a word."""
    told = files.config.get("position_embedding_type") or "absolute"
    if told == "absolute" or files.config.get("model_type") not in ABSOLUTE or files.architecture == "HF_ColBERT":
        return
    brings = "auto_map" in files.config
    mend = "Read the model's own code, then set model.trust_remote_code: true" if brings else "Choose another model"
    raise ConfigError(
        f"model.name {files.name}: config.json says position_embedding_type {told}, and {files.architecture} has "
        f"absolute positions alone, in vLLM and in Transformers. {mend}."
    )


def _require_quantization(files: ModelFiles) -> None:
    told = files.config.get("quantization_config") or files.config.get("compression_config")
    if not isinstance(told, Mapping):
        return
    method = str(
        told.get("quant_method", "compressed-tensors" if "compression_config" in files.config else None)
    ).lower()
    known = known_quantizations()
    if known is not None and ALIASES.get(method, method) not in known:
        raise ConfigError(
            f"model.name {files.name}: config.json says quant_method {method}, which vLLM does not know. Choose "
            f"weights without it, or with one of {', '.join(sorted(known))}."
        )


def known_quantizations() -> frozenset[str] | None:
    """The methods that the installed vLLM reads weights of, off its sources; None where none is installed."""
    package = find_spec("vllm")
    places = [Path(folder) / QUANTIZATIONS for folder in package.submodule_search_locations or ()] if package else []
    return next((_listed(place) for place in places if place.is_file()), None)


@cache
def _listed(source: Path) -> frozenset[str]:
    for statement in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == QUANTIZATIONS_NAME:
            constants = (one.value for one in ast.walk(statement.value) if isinstance(one, ast.Constant))
            return frozenset(one for one in constants if isinstance(one, str))
    return frozenset()


def _require_code(settings: ModelSettings, files: ModelFiles) -> None:
    """A config or tokenizer that only the model's own code can read is nothing without it; and code that it takes from
    another repository is not among its files, so that only a commit says which it is.
    """
    tokenizer: Mapping[str, Any] = files.json("tokenizer_config.json", optional=True) or {}
    if settings.trust_remote_code:
        elsewhere = re.search(r'"([^"]+)--', json.dumps([files.config.get("auto_map"), tokenizer.get("auto_map")]))
        if elsewhere and settings.code_revision is None:
            raise ConfigError(
                f"model.trust_remote_code: {files.name} runs code of {elsewhere[1]}, which may change unseen. Set "
                "model.code_revision to a commit of it (40 hex digits)."
            )
        return
    if "AutoConfig" in (files.config.get("auto_map") or {}) and not _knows(str(files.config.get("model_type"))):
        told = f"config.json says model_type {files.config.get('model_type')}"
    elif tokenizer.get("auto_map") and not _has_tokenizer(str(tokenizer.get("tokenizer_class"))):
        told = f"tokenizer_config.json says tokenizer_class {tokenizer.get('tokenizer_class')}"
    else:
        return
    raise ConfigError(
        f"model.name {files.name}: {told}, which is code of the model's own. Read it, then set "
        "model.trust_remote_code: true."
    )


def _knows(model_type: str) -> bool:
    """Whether Transformers has a config of this type, or vLLM brings one."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return model_type in CONFIG_MAPPING_NAMES or model_type in _of_vllm()


def _of_vllm() -> frozenset[str]:
    package = find_spec("vllm")
    places = package.submodule_search_locations or () if package else ()
    source = next(
        (found for place in places if (found := Path(place) / "transformers_utils/config.py").is_file()), None
    )
    return frozenset() if source is None else _config_types(source)


@cache
def _config_types(source: Path) -> frozenset[str]:
    """The keywords of vLLM's own registry of configs."""
    found: set[str] = set()
    for statement in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(statement, ast.AnnAssign | ast.Assign) and "_CONFIG_REGISTRY" in ast.unparse(statement)[:40]:
            calls = (one for one in ast.walk(statement) if isinstance(one, ast.Call))
            found |= {word.arg for call in calls for word in call.keywords if word.arg}
    return frozenset(found)


def _has_tokenizer(name: str) -> bool:
    from transformers.models.auto.tokenization_auto import tokenizer_class_from_name

    return bool(tokenizer_class_from_name(name) or tokenizer_class_from_name(f"{name}Fast"))
