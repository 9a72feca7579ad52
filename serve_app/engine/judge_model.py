"""Settings -> what a language model that judges says of itself on disk. No vLLM."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from serve_app.engine.file_digests import digests
from serve_app.engine.models import LEAST_MAX_LENGTH, USUAL_MAX_LENGTH, ModelInfo, find_files, folder_digest
from serve_app.judge_settings import JudgeModelSettings
from serve_app.recipes.architectures import require_writes
from serve_app.recipes.files import ModelFiles
from serve_app.recipes.transformer import told_positions
from serve_app.recipes.weights import LOADED
from serve_app.recipes.whole import require_whole
from serve_app.settings import ModelSettings
from stages.core.errors import ConfigError, QueryTooLongError

# Where the words of who describes any model name its settings, and what these are called of a judge.
_SETTING = re.compile(r"\bmodel\.(name|revision|max_length|max_generated_tokens|trust_remote_code|code_revision)\b")


@dataclass(frozen=True, slots=True)
class JudgeModel:
    """A judge's model. `info` has no recipe; its `max_length` is that of a prompt, without what is written behind it.

    `weights` are SHA-256 of each file of weights of a folder, by which two models are known to be one; empty for a hub
    id, whose commit tells. `quantized`: its weights are stored in fewer bits.
    """

    info: ModelInfo
    model_type: str
    architectures: tuple[str, ...]
    weights: tuple[str, ...]
    quantized: bool


def describe_judge(settings: JudgeModelSettings) -> JudgeModel:
    """Find the model and read its files. Raises ConfigError where it cannot be found, or cannot judge."""
    with of_judge():
        files = find_files(settings.name, settings.revision)
        with files.understood():
            return _described(settings, files)


@contextlib.contextmanager
def of_judge() -> Iterator[None]:
    """What is said of `model.` inside is said of `judge.`, the section that a judge's model is set in."""
    try:
        yield
    except (ConfigError, QueryTooLongError) as error:
        raise type(error)(_SETTING.sub(_named, str(error))) from error


def _described(settings: JudgeModelSettings, files: ModelFiles) -> JudgeModel:
    as_any = ModelSettings(
        name=settings.name,
        trust_remote_code=settings.trust_remote_code,
        code_revision=settings.code_revision,
    )
    require_whole(as_any, files)
    require_writes(files.name, files.architecture)
    folder = Path(files.path) if Path(files.path).is_dir() else None
    info = ModelInfo(
        name=settings.name,
        path=files.path,
        revision=files.revision,
        recipe=None,
        max_length=_max_length(settings, files),
        digest=folder_digest(files.path) if folder else None,
        trust_remote_code=settings.trust_remote_code,
        code_revision=settings.code_revision,
    )
    return JudgeModel(
        info=info,
        model_type=str(files.config.get("model_type")),
        architectures=(files.architecture,),
        weights=tuple(digests(_weights(folder))) if folder else (),
        quantized=any(files.config.get(key) for key in ("quantization_config", "compression_config")),
    )


def _max_length(settings: JudgeModelSettings, files: ModelFiles) -> int:
    """Tokens of a prompt, such that what is written behind it has room."""
    positions = told_positions(files) or (files.config.get("text_config") or {}).get("max_position_embeddings")
    room = (positions or USUAL_MAX_LENGTH) - settings.room_to_answer
    if room < (settings.max_length or LEAST_MAX_LENGTH):
        written = f" and model.max_generated_tokens {settings.max_generated_tokens}" * (settings.answer == "text")
        raise ConfigError(
            f"model.max_length {settings.max_length or LEAST_MAX_LENGTH}{written} are more than {settings.name} can "
            f"read and write: {positions or USUAL_MAX_LENGTH}. Lower one of them"
        )
    return settings.max_length or min(room, USUAL_MAX_LENGTH)


def _weights(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in LOADED and file.name != "training_args.bin")


def _named(setting: re.Match[str]) -> str:
    return "judge.model" if setting[1] == "name" else f"judge.{setting[1]}"
