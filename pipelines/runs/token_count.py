"""How many tokens texts have, by the tokenizer of the model that a run was scored with, or of another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pipelines.runs.config import section
from pipelines.runs.contexts import Budget
from pipelines.runs.read import RunContent
from stages.core.cascade import CASCADE
from stages.core.errors import ConfigError

if TYPE_CHECKING:
    from serve_app.engine.models import ModelInfo

Count = Callable[[Sequence[str]], list[int]]
"""The tokens of each text by itself, whole and without special tokens."""


def token_budget(run: RunContent, tokens: int, tokenizer: str | None) -> Budget:
    """`tokenizer` is a folder or a Hugging Face id, None: the run's own model. Raises ConfigError where it cannot be
    loaded.
    """
    from serve_app.settings import OVERLAP

    model, settings = run.metrics["model"], section(run.config, "model")
    name = tokenizer or model["name"]
    if name == OVERLAP:
        raise ConfigError("--tokens: overlap, which scored this run, has no tokenizer; name a model's with --tokenizer")
    if tokenizer is None and model["family"] == CASCADE:
        raise ConfigError(f"--tokens: {name} are several models; name the one whose tokenizer counts with --tokenizer")
    try:
        if tokenizer is not None:
            return Budget(tokens, tokenizer_of(tokenizer))
        return Budget(
            tokens,
            tokenizer_of(
                name,
                revision=model["revision"],
                trust_remote_code=bool(settings.get("trust_remote_code")),
                code_revision=settings.get("code_revision"),
            ),
        )
    except ConfigError as error:
        raise ConfigError(f"--tokens: {error}") from error


def tokenizer_of(
    name: str, *, revision: str | None = None, trust_remote_code: bool = False, code_revision: str | None = None
) -> Count:
    """Of a folder or a Hugging Face id. Raises ConfigError where it cannot be loaded."""
    from serve_app.engine.models import ModelInfo, locate

    return counting(
        ModelInfo(
            name=name,
            path=locate(name),
            revision=revision,
            recipe=None,
            max_length=0,
            digest=None,
            trust_remote_code=trust_remote_code,
            code_revision=code_revision,
        )
    )


def counting(model: ModelInfo) -> Count:
    """By the model's own tokenizer. Raises ConfigError where it cannot be loaded."""
    from serve_app.engine.tokenizer import load_tokenizer

    loaded = load_tokenizer(model)

    def count(texts: Sequence[str]) -> list[int]:
        # A tokenizer's own files may tell it to cut at the model's limit, and to pad.
        read = loaded(list(texts), add_special_tokens=False, truncation=False, padding=False, verbose=False)
        return [len(ids) for ids in read["input_ids"]]

    return count
